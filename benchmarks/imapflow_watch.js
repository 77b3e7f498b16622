// The same work as mailnotify's, done with imapflow, for benchmarks/imap_watch.py.
//
//   node imapflow_watch.js latency HOST PORT CA COUNT    delays from EXISTS to subject, ns
//   node imapflow_watch.js catchup HOST PORT CA COUNT    milliseconds for COUNT letters
//   node imapflow_watch.js many HOST PORT CA COUNT USER  idles as USER0 to USERn, prints the growth of RSS
const { readFileSync } = require("fs");
const { ImapFlow } = require("imapflow");
const [, , mode, host, port, ca, count, user] = process.argv;
const HEADERS = ["from", "to", "subject", "date", "message-id", "reply-to", "list-id", "content-type"];

function client(name) {
    return new ImapFlow({
        host, port: Number(port), secure: true, logger: false,
        auth: { user: name, pass: name }, tls: { ca: readFileSync(ca) },
    });
}

async function opened(name) {
    const flow = client(name);
    flow.on("error", (error) => console.error(String(error)));
    await flow.connect();
    await flow.mailboxOpen("INBOX", { readOnly: true });
    return flow;
}

async function latency() {
    const flow = await opened("flow");
    let left = Number(count);
    flow.on("exists", async (data) => {
        const message = await flow.fetchOne(String(data.count), { uid: true, headers: ["subject"] });
        const now = process.hrtime.bigint();
        const subject = message.headers.toString().replace(/^subject:\s*/i, "").trim();
        console.log(String(now - BigInt(subject)));
        if (--left > 0) flow.idle();
        else process.exit(0);
    });
    flow.idle();
    console.log("ready");
}

async function catchup() {
    const flow = await opened("flowmany");
    const items = { uid: true, flags: true, internalDate: true, size: true, bodyStructure: true, headers: HEADERS };
    const begun = process.hrtime.bigint();
    let got = 0;
    for await (const message of flow.fetch("2:*", items, { uid: true })) got += message.headers ? 1 : 0;
    console.log(String(Number(process.hrtime.bigint() - begun) / 1e6), got);
    process.exit(0);
}

async function many() {
    const flows = [];
    const before = process.memoryUsage.rss();
    while (flows.length < Number(count)) {
        const batch = Array.from({ length: Math.min(20, count - flows.length) },
            (_, place) => opened(user + (flows.length + place)));
        flows.push(...(await Promise.all(batch)));
    }
    flows.forEach((flow) => flow.idle());
    await new Promise((resolve) => setTimeout(resolve, 5000));
    console.log(process.memoryUsage.rss() - before);
    process.exit(0);
}

({ latency, catchup, many })[mode]();
