-- Dissects the line protocol of mailnotify, version 1 (docs/protocol.rst).
--
-- Copy this file into Wireshark's folder for personal Lua plugins (Help, About,
-- Folders), or:  tshark -X lua_script:mailnotify.lua -Y mailnotify -i lo
-- Port 5050 is taken for it, and 5051 for it in TLS, which is read where the client or the
-- service has written its keys down (SSLKEYLOGFILE, tls.keylog_file). For other ports, use
-- "Decode As": tcp.port and tls.port as mailnotify.

local mailnotify = Proto("mailnotify", "mailnotify line protocol")

-- Who says what. tests/contrib/test_dissector.py compares these with the code.
local FROM_CLIENT = {
    ACK = true, AUTH = true, HELLO = true, PART = true, PING = true, PONG = true,
    QUIT = true, SEND = true, STARTTLS = true, SUBSCRIBE = true,
}
local FROM_SERVER = {
    BYE = true, ERR = true, EVENT = true, GAP = true, LIVE = true, OK = true,
    PING = true, PONG = true,
}
local PLAIN = "New Email Received: "

-- Nothing that the server sends is longer (docs/protocol.rst, Lines).
local LONGEST_LINE = 65536

local fields = {
    line = ProtoField.string("mailnotify.line", "Line"),
    verb = ProtoField.string("mailnotify.verb", "Verb"),
    arguments = ProtoField.string("mailnotify.arguments", "Arguments"),
    position = ProtoField.string("mailnotify.position", "Position"),
    epoch = ProtoField.string("mailnotify.epoch", "Epoch"),
    seq = ProtoField.uint64("mailnotify.seq", "Sequence number"),
    code = ProtoField.string("mailnotify.code", "Error code"),
    reason = ProtoField.string("mailnotify.reason", "Reason"),
    subject = ProtoField.string("mailnotify.subject", "Subject of a plain line"),
    json = ProtoField.string("mailnotify.json", "JSON"),
    part = ProtoField.string("mailnotify.part", "Part of a letter"),
}
mailnotify.fields = {
    fields.line, fields.verb, fields.arguments, fields.position, fields.epoch, fields.seq,
    fields.code, fields.reason, fields.subject, fields.json, fields.part,
}

local experts = {
    refused = ProtoExpert.new(
        "mailnotify.refused", "The server refused a line", expert.group.RESPONSE_CODE,
        expert.severity.WARN),
    gap = ProtoExpert.new(
        "mailnotify.gap", "Something was missed", expert.group.SEQUENCE, expert.severity.NOTE),
    unknown = ProtoExpert.new(
        "mailnotify.unknown", "A verb that the protocol does not have", expert.group.PROTOCOL,
        expert.severity.WARN),
    long = ProtoExpert.new(
        "mailnotify.long", "A line longer than the protocol allows", expert.group.MALFORMED,
        expert.severity.ERROR),
}
mailnotify.experts = { experts.refused, experts.gap, experts.unknown, experts.long }

mailnotify.prefs.port = Pref.uint("TCP port", 5050, "The port of the service")

local json_dissector = Dissector.get("json")
local find_reason = '"reason"%s*:%s*"([^"]*)"'

-- "epoch:seq" at the start of some bytes; returns how many bytes it takes.
local function add_position(range, tree)
    local text = range:string(ENC_UTF_8)
    local position, epoch, seq = text:match("^((%w+):(%d+))")
    if not position then
        return 0
    end
    local item = tree:add(fields.position, range(0, #position), position)
    item:add(fields.epoch, range(0, #epoch), epoch)
    item:add(fields.seq, range(#epoch + 1, #seq), UInt64(tonumber(seq)))
    return #position
end

-- The JSON object in some bytes, by Wireshark's own dissector.
local function add_json(range, pinfo, tree)
    local text = range:string(ENC_UTF_8)
    local start = text:find("{", 1, true)
    if not start then
        return
    end
    local object = range(start - 1)
    local item = tree:add(fields.json, object, object:string(ENC_UTF_8))
    local reason = text:match(find_reason)
    if reason then
        item:add(fields.reason, object, reason)
    end
    local column = tostring(pinfo.cols.info)
    pcall(json_dissector.call, json_dissector, object:tvb(), pinfo, item)
    pinfo.cols.protocol = "mailnotify"
    pinfo.cols.info = column
end

local function add_error(range, tree)
    local code = range:string(ENC_UTF_8):match("^(%u+)")
    if code then
        tree:add(fields.code, range(0, #code), code)
    end
    tree:add_proto_expert_info(experts.refused, range:string(ENC_UTF_8))
end

-- The bytes of a letter that some base64 stands for.
local function add_part(range, tree)
    local is_base64 = range:string():match("^[%w+/]+=?=?$") and range:len() % 4 == 0
    local content = is_base64 and range:bytes():base64_decode()
    if content and content:len() > 0 then
        tree:add(fields.part, range, content:tvb("Part of a letter")():string(ENC_UTF_8))
    end
end

-- One line without its end.
local function dissect_line(range, pinfo, tree, is_from_server)
    local text = range:string(ENC_UTF_8)
    local item = tree:add(fields.line, range, text)
    if is_from_server and text:sub(1, #PLAIN) == PLAIN then
        item:add(fields.verb, range(0, 3), "New")
        if range:len() > #PLAIN then
            item:add(fields.subject, range(#PLAIN), text:sub(#PLAIN + 1))
        else
            item:add(fields.subject, "")
        end
        return "plain line"
    end
    local verb = text:match("^(%S+)") or ""
    item:add(fields.verb, range(0, #verb), verb)
    local known = is_from_server and FROM_SERVER or FROM_CLIENT
    if not known[verb] then
        item:add_proto_expert_info(experts.unknown)
    end
    if range:len() > #verb + 1 then
        local rest = range(#verb + 1)
        local arguments = item:add(fields.arguments, rest, rest:string(ENC_UTF_8))
        if verb == "ERR" then
            add_error(rest, arguments)
        elseif verb == "PART" then
            add_part(rest, arguments)
        else
            local taken = add_position(rest, arguments)
            if taken < rest:len() then
                add_json(rest(taken), pinfo, arguments)
            end
        end
    end
    if verb == "GAP" then
        item:add_proto_expert_info(experts.gap, text)
    end
    return verb
end

-- All whole lines of a segment; what is left waits for more.
function mailnotify.dissector(tvb, pinfo, root)
    local is_from_server = pinfo.src_port == mailnotify.prefs.port
        or (pinfo.dst_port ~= mailnotify.prefs.port and pinfo.src_port < pinfo.dst_port)
    local offset, size = 0, tvb:len()
    local first = tvb(0, 1):uint()
    if first == 0x16 or first == 0x14 or first == 0x15 or first == 0x17 then
        return Dissector.get("tls"):call(tvb, pinfo, root)  -- after STARTTLS
    end
    pinfo.cols.protocol = "mailnotify"
    local tree = root:add(mailnotify, tvb())
    local verbs = {}
    while offset < size do
        local line_feed = tvb:bytes(offset, size - offset):raw():find("\n", 1, true)
        if not line_feed then
            if size - offset > LONGEST_LINE then
                tree:add_proto_expert_info(experts.long)
                return size
            end
            pinfo.desegment_offset = offset
            pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
            break
        end
        local length = line_feed - 1
        if length > 0 and tvb(offset + length - 1, 1):uint() == 13 then
            length = length - 1
        end
        if length > 0 then
            table.insert(verbs, dissect_line(tvb(offset, length), pinfo, tree, is_from_server))
        end
        offset = offset + line_feed
    end
    if #verbs > 0 then
        local more = #verbs > 8 and " ..." or ""
        pinfo.cols.info = table.concat(verbs, ", ", 1, math.min(#verbs, 8)) .. more
    end
    return size
end

DissectorTable.get("tcp.port"):add(5050, mailnotify)

-- In TLS, as far as Wireshark has the keys: from the first byte, and after STARTTLS.
DissectorTable.get("tcp.port"):add(5051, Dissector.get("tls"))
DissectorTable.get("tls.port"):add(5051, mailnotify)
DissectorTable.get("tls.port"):add(5050, mailnotify)
