"""What the engine needs to start, and what it says when something is missing."""

import json
import unittest

from tests.lib.env import environment
from tests.lib.postgres import query
from tests.lib.proxy import Proxy
from tests.lib.story import Story


class StartStory(Story):
    def refused(self, *texts, deadline_s=20):
        """It does not start, and its log says all of this."""
        self.engine.start()
        self.assertEqual(1, self.engine.wait(deadline_s))
        for text in texts:
            self.assertIn(text, self.engine.log_text())

    def configure(self, **sections):
        """Changes the engine's configuration: kafka={"topics": [...]}."""
        with open(self.engine.config, encoding="utf-8") as file:
            tree = json.load(file)
        for section, keys in sections.items():
            tree[section].update(keys)
        with open(self.engine.config, "w", encoding="utf-8") as out:
            json.dump(tree, out)


class TopicsTest(StartStory):
    def test_two(self):
        """Two topics of equal partition counts are one tenant's meters"""
        self.begin(partitions=2, topics=2)
        self.start()
        self.job.produce([self.call("acme") for _ in range(3)], topic=0)
        self.job.produce([self.call("acme") for _ in range(4)], topic=1)
        self.job.await_settled()
        self.assertEqual([("acme", 7)], self.job.rows(
            "SELECT tenant, requests::int FROM tripmeter.period_total"))

    def test_unequal(self):
        """Topics of unequal partition counts are refused with the remedy"""
        self.begin(partitions=2)
        other = environment().name("usage")
        environment().kafka.create_topic(other, 3, message_timestamp_type="LogAppendTime")
        self.configure(kafka={"topics": [self.job.topics[0], other]})
        self.refused("same number of partitions", other, "kafka-topics.sh --alter")

    def test_missing(self):
        """A usage topic that does not exist is named, with the command that makes it"""
        self.begin()
        self.configure(kafka={"topics": ["nowhere"]})
        self.refused("nowhere does not exist", "kafka-topics.sh", "LogAppendTime")

    def test_grown(self):
        """A partition count that would move tenants between old partitions is refused"""
        self.begin(partitions=2)
        self.start()
        self.calls("acme", 1)
        self.job.await_settled()
        environment().kafka.tool("add-partitions", self.job.topics[0], 3)
        self.assertEqual(1, self.engine.wait(30))
        self.assertIn("can grow to 4 or another multiple", self.engine.log_text())
        self.start()
        self.assertEqual(1, self.engine.wait(30))

    def test_other_topics(self):
        """Other topics than those the database was begun with are refused"""
        self.begin(partitions=2)
        self.start()
        self.engine.await_log("event=claimed")
        self.assertEqual(0, self.engine.stop())
        other = environment().name("usage")
        environment().kafka.create_topic(other, 2, message_timestamp_type="LogAppendTime")
        self.configure(kafka={"topics": [other]})
        self.refused(f"was begun with topics {self.job.topics[0]}")

    def test_time(self):
        """Producers' times where the broker's are wanted halt the partition and name the remedy"""
        self.begin(partitions=1)
        environment().kafka.tool("alter-topic-config", self.job.topics[0],
                                 "message.timestamp.type=CreateTime")
        self.start()
        self.calls("acme", 1)
        self.await_page("/readyz", 503, "message.timestamp.type=LogAppendTime",
                        "kafka.time: trust_producers")
        self.assertEqual(0, self.job.one(
            "SELECT coalesce(sum(counted), 0) FROM tripmeter.progress"))

    def test_control(self):
        """A control topic that forgets blocks is refused with the remedy"""
        self.begin()
        environment().kafka.create_topic(self.job.control, 1, cleanup_policy="delete")
        self.refused(self.job.control, "cleanup.policy=compact")


class PostgresTest(StartStory):
    def test_password(self):
        """A wrong password is an error that waiting does not cure"""
        self.begin()
        password = self.job.database.split("//tripmeter:")[1].split("@")[0]
        self.configure(postgres={"url": self.job.database.replace(password, "wrong")})
        self.refused("password authentication failed")
        self.assertNotIn(password, self.engine.log_text())

    def test_schema(self):
        """A database without the schema, or with a newer one, is refused with the remedy"""
        self.begin()
        empty = environment().postgres.create_database()
        self.configure(postgres={"url": empty})
        self.refused("has no schema tripmeter", "tripmeter migrate")
        self.configure(postgres={"url": self.job.database})
        query(self.job.database, """
            INSERT INTO tripmeter.migration
            SELECT (jsonb_populate_record(m, '{"number": 9999}')).* FROM tripmeter.migration m
            ORDER BY number DESC LIMIT 1""")
        self.refused("is at 9999, newer than this program")

    def test_away(self):
        """Postgres away at the start: /readyz says so, SIGTERM ends it, and it goes on once it is there"""
        self.begin()
        port = int(self.job.database.rsplit(":", 1)[1].split("/")[0])
        proxy = Proxy("127.0.0.1", port)
        self.addCleanup(proxy.stop)
        self.configure(postgres={"url": self.job.database.replace(f":{port}/", ":1/")})
        self.start()
        self.await_page("/readyz", 503, "cannot open", "127.0.0.1")
        self.await_page("/healthz", 200, "ok")
        self.await_page("/status", 200)
        self.assertEqual(0, self.engine.stop())
        self.configure(postgres={"url": self.job.database.replace(f":{port}/", f":{proxy.port}/")})
        proxy.tell("refuse")
        self.start()
        self.await_page("/readyz", 503, "cannot open")
        proxy.tell("open")
        self.await_page("/readyz", 200, "ready")
        self.calls("acme", 1)
        self.job.await_settled()


class KafkaTest(StartStory):
    def test_away(self):
        """Kafka away at the start: it waits, says for what, and SIGTERM ends it"""
        self.begin()
        self.configure(kafka={"brokers": ["127.0.0.1:1"]})
        self.start()
        self.engine.await_log("event=start", deadline_s=30)
        self.assertIn("127.0.0.1:1", self.await_page("/readyz", 503, "kafka"))
        self.assertEqual(0, self.engine.stop())


if __name__ == "__main__":
    unittest.main()
