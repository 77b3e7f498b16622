"""How mailnotify proves who it is: secrets and SASL."""
