"""What stands beside the package, held to the package."""
