"""The servers that all other tests stand on."""

import base64
import hashlib
import hmac
import smtplib
import ssl
import unittest
import urllib.error
import urllib.request
from email.message import EmailMessage

import psycopg2

from tests.lib.env import environment
from tests.lib.kafka import MockCluster
from tests.lib.postgres import query
from tests.lib.proxy import Proxy
from tests.lib.receivers import SECRET
from tests.lib.wait import wait_until


class KafkaTest(unittest.TestCase):
    def setUp(self):
        self.kafka = environment().kafka
        self.topic = environment().name("environment")

    def test_round_trip(self):
        """What is produced is consumed: keys, tombstones, headers, times, bytes"""
        self.kafka.create_usage_topic(self.topic, 2)
        sent = [
            {"key": "a", "value": '{"n":1}', "headers": {"ce_id": "1"}, "timestamp_ms": 1700000000000},
            {"key": "a", "value": None},
            {"key": "b", "value_hex": "ff00"},
        ]
        self.assertEqual(self.kafka.produce(self.topic, sent, "--lz4"), [{"produced": 3}])
        got = self.kafka.consume(self.topic)
        self.assertEqual(sum(high for _, high in self.kafka.watermarks(self.topic).values()), 3)
        first, tombstone = [message for message in got if message["key"] == "a"]
        self.assertEqual({name: first[name] for name in sent[0]}, sent[0])
        self.assertIsNone(tombstone["value"])
        self.assertEqual([m["value_hex"] for m in got if m["key"] == "b"], ["ff00"])

    def test_events(self):
        """A native event is keyed by its subject and has its own time"""
        self.kafka.create_usage_topic(self.topic, 4)
        times = {"2026-03-01T00:00:00.25+05:30": 1772303400250, "2024-02-29T12:00:00Z": 1709208000000}
        self.kafka.produce_events(self.topic, [{"subject": "acme", "time": time} for time in times])
        got = self.kafka.consume(self.topic)
        self.assertEqual([(m["key"], m["timestamp_ms"]) for m in got],
                         [("acme", at) for at in times.values()])

    def test_topics(self):
        """Topics can be described, changed, grown, cut and deleted"""
        self.kafka.create_topic(self.topic, 1, cleanup_policy="compact")
        config = self.kafka.tool("describe-topic", self.topic)[0]["config"]
        self.assertEqual(config["cleanup.policy"], "compact")
        self.assertEqual(config["message.timestamp.type"], "LogAppendTime")
        self.kafka.tool("alter-topic-config", self.topic, "cleanup.policy=delete")
        self.kafka.tool("add-partitions", self.topic, 3)
        self.kafka.produce(self.topic, [{"value": "x"}] * 5, "--partition", 1)
        self.kafka.tool("delete-records", self.topic, 1, 3)
        self.assertEqual(self.kafka.watermarks(self.topic), {0: (0, 0), 1: (3, 5), 2: (0, 0)})
        self.kafka.tool("delete-topic", self.topic)
        with self.assertRaisesRegex(RuntimeError, self.topic):
            self.kafka.watermarks(self.topic)

    def test_killed(self):
        """After SIGKILL the broker comes back on its port with its messages"""
        self.kafka.create_usage_topic(self.topic, 1)
        self.kafka.produce(self.topic, [{"value": "before"}])
        self.kafka.kill()
        self.kafka.start()
        self.kafka.produce(self.topic, [{"value": "after"}])
        self.assertEqual([m["value"] for m in self.kafka.consume(self.topic)], ["before", "after"])

    def test_mock_cluster(self):
        """The embedded broker serves other processes"""
        mock = MockCluster(environment().path("mock"), (self.topic, 3))
        self.addCleanup(mock.stop)
        mock.produce(self.topic, [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}])
        self.assertEqual(len(mock.watermarks(self.topic)), 3)
        self.assertEqual(mock.latest(self.topic)["a"]["value"], "2")


class PostgresTest(unittest.TestCase):
    def setUp(self):
        self.postgres = environment().postgres

    def test_select(self):
        """It answers, a database of one's own is empty, and commits are durable"""
        uri = self.postgres.create_database()
        self.assertEqual(query(uri, "SELECT %s + 1", [1]), [(2,)])
        self.assertEqual(query(uri, "SHOW fsync"), [("on",)])
        self.assertEqual(query(uri, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
                         [(0,)])

    def test_immediate(self):
        """After an immediate stop what was committed is there, on the same port"""
        uri = self.postgres.create_database()
        query(uri, "CREATE TABLE t AS SELECT 7 AS n")
        self.postgres.immediate()
        with self.assertRaises(psycopg2.OperationalError):
            query(uri, "SELECT 1")
        self.postgres.start()
        self.assertEqual(query(uri, "SELECT n FROM t"), [(7,)])

    def test_proxy(self):
        """Through the proxy connections can be cut and refused, and work again"""
        proxy = Proxy("127.0.0.1", self.postgres.port)
        self.addCleanup(proxy.stop)
        uri = self.postgres.uri.replace(f":{self.postgres.port}/", f":{proxy.port}/")
        connection = psycopg2.connect(uri)
        self.addCleanup(connection.close)
        proxy.tell("cut-after", "down", 10)
        with self.assertRaises(psycopg2.OperationalError):
            connection.cursor().execute("SELECT repeat('x', 1000)")
        self.assertEqual(query(uri, "SELECT 1"), [(1,)])
        proxy.tell("refuse")
        with self.assertRaises(psycopg2.OperationalError):
            query(uri, "SELECT 1")
        proxy.tell("open")
        self.assertEqual(query(uri, "SELECT 1"), [(1,)])


class ReceiversTest(unittest.TestCase):
    def setUp(self):
        self.receivers = environment().receivers
        self.receivers.control(reset=True)

    def post(self, path, body, key=SECRET, base=None, context=None):
        """A signed webhook; the answer's status."""
        name, at = f"msg_{path}", "1614265330"
        mac = hmac.new(base64.b64decode(key.removeprefix("whsec_")),
                       f"{name}.{at}.{body}".encode(), hashlib.sha256)
        request = urllib.request.Request((base or self.receivers.webhook) + path, body.encode(), {
            "webhook-id": name, "webhook-timestamp": at,
            "webhook-signature": "v1,AAAA v1," + base64.b64encode(mac.digest()).decode()})
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code

    def mail(self, subject, tls=False):
        host, port = (self.receivers.smtp_tls if tls else self.receivers.smtp).split(":")
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "t@example.com", "ops@example.com", subject
        message.set_content("Plain words\n")
        message.add_alternative("<p>Plain words</p>", subtype="html")
        with smtplib.SMTP(host, int(port), timeout=10) as client:
            if tls:
                client.starttls(context=ssl.create_default_context(cafile=self.receivers.ca))
                client.login("user", "secret")
            client.send_message(message)

    def test_webhook(self):
        """A webhook arrives; its signature is judged; over TLS too"""
        body = '{"type":"alert.firing"}'
        self.assertEqual(self.post("/hook-a", body), 200)
        self.assertEqual(self.post("/hook-b", body, key="whsec_d3Jvbmc="), 200)
        context = ssl.create_default_context(cafile=self.receivers.ca)
        self.assertEqual(self.post("/hook-c", body, base=self.receivers.webhook_tls, context=context),
                         200)
        arrived = {m["path"]: m for m in self.receivers.inbox("webhook")}
        self.assertEqual(arrived["/hook-a"]["body"], {"type": "alert.firing"})
        self.assertIs(arrived["/hook-a"]["verified"], True)
        self.assertIs(arrived["/hook-b"]["verified"], False)
        self.assertIs(arrived["/hook-c"]["tls"], True)

    def test_webhook_fails(self):
        """Scripted answers come in order, only for their path, and then it works again"""
        self.receivers.control(webhook_status=503, times=2, path="/flaky")
        self.assertEqual([self.post(path, "{}") for path in ("/flaky", "/good", "/flaky", "/flaky")],
                         [503, 200, 503, 200])
        self.assertEqual(len(self.receivers.inbox("webhook", path="/flaky")), 1)
        self.assertEqual([m["status"] for m in self.receivers.refused("webhook")], [503, 503])
        self.receivers.control(webhook_drop_after=True)
        with self.assertRaises(OSError):
            self.post("/dropped", "{}")
        self.assertEqual(len(self.receivers.inbox("webhook", path="/dropped")), 1)

    def test_mail(self):
        """Mail arrives with its subject decoded, plain and by STARTTLS"""
        self.mail("Müller: 90 %")
        self.mail("secret", tls=True)
        message = self.receivers.inbox("mail", subject="Müller: 90 %")[0]
        self.assertEqual((message["from"], message["to"], message["tls"]),
                         ("t@example.com", ["ops@example.com"], False))
        self.assertEqual(message["text"], "Plain words\n")
        message = self.receivers.inbox("mail", subject="secret")[0]
        self.assertEqual((message["tls"], message["login"]), (True, "user"))
        with self.assertRaises(smtplib.SMTPResponseException):
            host, port = self.receivers.smtp_tls.split(":")
            with smtplib.SMTP(host, int(port), timeout=10) as client:
                client.sendmail("a@example.com", ["b@example.com"], "no STARTTLS")

    def test_mail_fails(self):
        """Mail can be refused at each step, and lost after it was accepted"""
        self.receivers.control(smtp_code=451)
        with self.assertRaises(smtplib.SMTPDataError) as refusal:
            self.mail("again")
        self.assertEqual(refusal.exception.smtp_code, 451)
        self.receivers.control(smtp_code=550, at="rcpt")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.mail("again")
        self.mail("again")
        self.assertEqual(len(self.receivers.inbox("mail", subject="again")), 1)
        self.receivers.control(smtp_drop_after_data=True)
        with self.assertRaises((smtplib.SMTPServerDisconnected, OSError)):
            self.mail("lost")
        self.assertEqual(len(self.receivers.inbox("mail", subject="lost")), 1)

    def test_restart(self):
        """Stopped and started, the receivers keep their ports and their inbox"""
        self.post("/before", "{}")
        ports = (self.receivers.webhook, self.receivers.smtp)
        self.receivers.stop()
        with self.assertRaises(OSError):
            self.post("/between", "{}")
        self.receivers.start()
        self.assertEqual((self.receivers.webhook, self.receivers.smtp), ports)
        self.post("/after", "{}")
        paths = [m["path"] for m in self.receivers.inbox("webhook")]
        self.assertEqual([p for p in paths if p in ("/before", "/between", "/after")],
                         ["/before", "/after"])


class WaitTest(unittest.TestCase):
    def test_deadline(self):
        """Waiting ends with the answer, or with a text that says what did not happen"""
        answers = iter([None, 0, "yes"])
        self.assertEqual(wait_until(lambda: next(answers), 5, "an answer"), "yes")
        with self.assertRaisesRegex(AssertionError, "not within 0 s: the moon"):
            wait_until(lambda: False, 0, "the moon")
