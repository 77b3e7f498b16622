// nodemailer for `benchmarks.smtp`: node smtp_nodemailer.cjs PORT CA_FILE LETTERS
const fs = require("fs");
const nodemailer = require("nodemailer");
const [port, caFile, letters] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const header = "From: ada@example.org\r\nTo: bob@example.org\r\nSubject: x\r\nMessage-ID: <1@x>\r\n\r\n";
const raw = Buffer.from((header + ("x".repeat(76) + "\r\n").repeat(100)).slice(0, 3198) + "\r\n");
const transport = nodemailer.createTransport({
  host: "localhost", port, secure: true, name: "[127.0.0.1]",
  pool: letters > 1, maxConnections: 1, maxMessages: Infinity,
  auth: { user: "ada", pass: "secret" },
  tls: { ca: fs.readFileSync(caFile) },
});
const letter = () => ({ envelope: { from: "ada@example.org", to: ["bob@example.org"] }, raw });
(async () => {
  await transport.sendMail(letter());
  const [start, used] = [process.hrtime.bigint(), process.cpuUsage()];
  for (let sent = 1; sent < letters; sent += 1) await transport.sendMail(letter());
  const { user, system } = process.cpuUsage(used);
  console.log(Number(process.hrtime.bigint() - start) / 1e9, (user + system) / 1e6);
  transport.close();
})();
