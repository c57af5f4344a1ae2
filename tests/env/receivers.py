#!/usr/bin/python3
"""The other end of every alert: webhook and mail receivers on free loopback ports, in one process.

    tests/env/receivers.py DIR        serves until SIGTERM; WEBHOOK_SECRET=whsec_... checks signatures

DIR/env says, once all of it listens (and the same ports again when started a second time):
    webhook=http://127.0.0.1:PORT     webhook_tls=https://127.0.0.1:PORT
    smtp=127.0.0.1:PORT               smtp_tls=127.0.0.1:PORT (STARTTLS demanded)
    control=http://127.0.0.1:PORT/control     ca=DIR/cert.pem (self-signed)     pid=

Accepted messages are lines of DIR/inbox.jsonl, refused attempts lines of DIR/refused.jsonl:
    {"kind":"webhook","at","path","tls","headers","body","raw","verified","status"}
    {"kind":"mail","at","from","to","tls","login","headers","subject","text","html","status"}
`verified` is null without WEBHOOK_SECRET; header names are in lower case; body is null where the
raw text is not JSON.

POST to control scripts the next `times` (default 1) messages; rules are used up in order:
    {"webhook_status":500,"times":3,"retry_after":"10","path":"/engineering"}
    {"webhook_drop":true}        no answer, connection closed, nothing accepted
    {"webhook_drop_after":true}  accepted, then closed without an answer
    {"webhook_delay_s":2.5}      answers late
    {"smtp_code":451,"at":"mail"|"rcpt"|"data"}     at defaults to data
    {"smtp_drop_after_data":true}  accepted, then the connection is lost
    {"smtp_delay_s":2.5}
    {"reset":true}               forgets all rules
"""

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, AuthResult

BODY_LIMIT = 4 << 20
KINDS = {
    "webhook_status": "webhook",
    "webhook_drop": "webhook",
    "webhook_drop_after": "webhook",
    "webhook_delay_s": "webhook",
    "smtp_code": "smtp",
    "smtp_drop_after_data": "smtp",
    "smtp_delay_s": "smtp",
}


class Script:
    """What shall go wrong with the next messages."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []

    def add(self, rule):
        with self.lock:
            if rule.get("reset"):
                self.rules.clear()
                return
            kinds = [name for name in KINDS if name in rule]
            if len(kinds) != 1:
                raise ValueError(f"one of {', '.join(KINDS)} or reset is needed")
            self.rules.append({**rule, "kind": KINDS[kinds[0]], "left": int(rule.get("times", 1))})

    def take(self, kind, fits):
        """The first rule of the kind that fits, used once; {} where there is none."""
        with self.lock:
            for rule in self.rules:
                if rule["kind"] == kind and fits(rule):
                    rule["left"] -= 1
                    if rule["left"] == 0:
                        self.rules.remove(rule)
                    return rule
        return {}


class Inbox:
    """The two files of messages.  A line is written whole before the sender hears of it."""

    def __init__(self, directory):
        self.lock = threading.Lock()
        self.accepted = open(os.path.join(directory, "inbox.jsonl"), "a", encoding="utf-8")
        self.refused = open(os.path.join(directory, "refused.jsonl"), "a", encoding="utf-8")

    def store(self, accepted, message):
        message["at"] = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        out = self.accepted if accepted else self.refused
        with self.lock:
            out.write(json.dumps(message, ensure_ascii=False) + "\n")
            out.flush()


def verified(secret, headers, raw):
    """Standard Webhooks: one of the signatures fits id, timestamp and body."""
    if not secret:
        return None
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + raw
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(signature, f"v1,{right}")
        for signature in headers.get("webhook-signature", "").split(" ")
    )


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        if size > BODY_LIMIT:
            self.close_connection = True
            self.answer(413)
            return
        raw = self.rfile.read(size)
        if self.path == "/control":
            self.control(raw)
        else:
            self.receive(raw)

    def control(self, raw):
        try:
            self.server.script.add(json.loads(raw))
        except (ValueError, TypeError) as why:
            self.answer(400, f"{why}\n".encode())
            return
        self.answer(204)

    def receive(self, raw):
        rule = self.server.script.take("webhook", lambda r: self.path.startswith(r.get("path", "/")))
        status = rule.get("webhook_status", 200)
        dropped = bool(rule.get("webhook_drop"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        time.sleep(rule.get("webhook_delay_s", 0))
        self.server.inbox.store(
            status < 300 and not dropped,
            {
                "kind": "webhook",
                "path": self.path,
                "tls": self.server.tls,
                "headers": headers,
                "body": body,
                "raw": raw.decode("utf-8", "replace"),
                "verified": verified(self.server.secret, headers, raw),
                "status": 0 if dropped else status,
            },
        )
        if dropped or rule.get("webhook_drop_after"):
            self.close_connection = True
            return
        more = {"Retry_After": str(rule["retry_after"])} if "retry_after" in rule else {}
        self.answer(status, **more)


class Mail:
    """aiosmtpd's handler."""

    def __init__(self, inbox, script):
        self.inbox = inbox
        self.script = script

    def refusal(self, session, envelope, at):
        rule = self.script.take("smtp", lambda r: "smtp_code" in r and r.get("at", "data") == at)
        if not rule:
            return None
        self.inbox.store(False, self.message(session, envelope, rule["smtp_code"]))
        return f"{rule['smtp_code']} as the test demands"

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_from = address
        refusal = self.refusal(session, envelope, "mail")
        if refusal:
            envelope.mail_from = None
        return refusal or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = self.refusal(session, envelope, "rcpt")
        if not refusal:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server, session, envelope):
        rule = self.script.take("smtp", lambda r: "smtp_delay_s" in r)
        await asyncio.sleep(rule.get("smtp_delay_s", 0))
        refusal = self.refusal(session, envelope, "data")
        if refusal:
            return refusal
        self.inbox.store(True, self.message(session, envelope, 250))
        if self.script.take("smtp", lambda r: r.get("smtp_drop_after_data")):
            server.transport.abort()
        return "250 OK"

    @staticmethod
    def message(session, envelope, status):
        parsed = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)
        parts = {}
        for kind in ("plain", "html"):
            part = parsed.get_body((kind,))
            parts[kind] = part.get_content().replace("\r\n", "\n") if part else None
        return {
            "kind": "mail",
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": getattr(session.auth_data, "login", b"").decode() or None,
            "headers": {name.lower(): str(value) for name, value in parsed.items()},
            "subject": str(parsed.get("subject", "")),
            "text": parts["plain"],
            "html": parts["html"],
            "status": status,
        }


def authenticate(server, session, envelope, mechanism, auth_data):
    """Any name and password will do; the message says which name it was."""
    return AuthResult(success=True, auth_data=auth_data)


def certificate(directory):
    """A self-signed certificate for 127.0.0.1 and localhost; its path, and the TLS context."""
    cert = os.path.join(directory, "cert.pem")
    key = os.path.join(directory, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return cert, context


def ports_of_last_time(path):
    """The ports by name, as an earlier run in this directory wrote them."""
    try:
        with open(path, encoding="utf-8") as lines:
            pairs = dict(line.rstrip("\n").split("=", 1) for line in lines)
    except OSError:
        return {}
    return {name: int(value.rsplit(":", 1)[1]) for name, value in pairs.items()
            if name in ("webhook", "webhook_tls", "smtp", "smtp_tls")}


def listen(port):
    """A listening socket on that port if it can be had, else on a free one."""
    for wanted in (port, 0):
        try:
            return socket.create_server(("127.0.0.1", wanted), backlog=128)
        except OSError:
            if wanted == 0:
                raise
    raise AssertionError


def serve_http(listener, context, inbox, script):
    server = ThreadingHTTPServer(listener.getsockname(), Webhook, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    if context:
        # The handshake is left to the connection's own thread: a silent client blocks nobody else.
        server.socket = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
    server.tls = context is not None
    server.inbox, server.script = inbox, script
    server.secret = os.environ.get("WEBHOOK_SECRET", "")
    threading.Thread(target=server.serve_forever, daemon=True).start()


async def serve(directory):
    env = os.path.join(directory, "env")
    old = ports_of_last_time(env)
    names = ("webhook", "webhook_tls", "smtp", "smtp_tls")
    listeners = {name: listen(old.get(name, 0)) for name in names}
    at = {name: f"127.0.0.1:{listener.getsockname()[1]}" for name, listener in listeners.items()}
    cert, context = certificate(directory)
    inbox, script = Inbox(directory), Script()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    serve_http(listeners["webhook"], None, inbox, script)
    serve_http(listeners["webhook_tls"], context, inbox, script)
    for name, tls in (("smtp", None), ("smtp_tls", context)):
        await loop.create_server(
            lambda tls=tls: SMTP(Mail(inbox, script), hostname="localhost", tls_context=tls,
                                 require_starttls=tls is not None, authenticator=authenticate,
                                 auth_require_tls=tls is not None, enable_SMTPUTF8=True, loop=loop),
            sock=listeners[name])
    with open(env + ".new", "w", encoding="utf-8") as out:
        out.write(f"webhook=http://{at['webhook']}\nwebhook_tls=https://{at['webhook_tls']}\n"
                  f"smtp={at['smtp']}\nsmtp_tls={at['smtp_tls']}\n"
                  f"control=http://{at['webhook']}/control\nca={cert}\npid={os.getpid()}\n")
    os.replace(env + ".new", env)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] == ["--help"] else 2
    directory = os.path.abspath(sys.argv[1])
    os.makedirs(directory, exist_ok=True)
    asyncio.run(serve(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
