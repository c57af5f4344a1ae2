"""What the broker asks of its clients, and what other producers do: TLS, SASL, transactions."""

import json
import os
import unittest

from confluent_kafka import Producer

from tests.lib.env import environment
from tests.lib.generate import event, now
from tests.lib.server import read_env
from tests.lib.story import Story
from tests.lib.wait import wait_until


POLICY = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 10}
"""


class SecuredTest(Story):
    POLICY = POLICY

    def begin_secured(self, **properties):
        directory = environment().kafka.directory
        known = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
                 "ssl.ca.location": os.path.join(directory, "ca.pem"),
                 "sasl.username": "tripmeter", "sasl.password": "open sesame"}
        self.begin(kafka_brokers=[f"127.0.0.1:{read_env(directory)['secured_port']}"],
                   kafka_properties={**known, **properties})

    def test_tls_and_sasl(self):
        """Every connection to Kafka is encrypted and signed in: usage, control, dead letters"""
        self.begin_secured()
        self.start()
        self.calls("acme", 10)
        self.job.produce(["nonsense"])
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.await_settled()
        wait_until(lambda: len(self.job.env.kafka.consume(self.job.dead)) == 1, 20,
                   "the dead letter is told")
        self.restart()
        self.job.say("allow", "tenant/acme", "--for", "1h", "--reason", "test")
        self.gateway.await_allowed("acme")
        self.assertNotIn("sesame", self.engine.log_text())

    def test_wrong_password(self):
        """It is said what is wrong, without the password, and nothing is read"""
        self.begin_secured(**{"sasl.password": "open barley"})
        self.start()
        self.engine.await_log("uthentication")
        self.assertNotIn("barley", self.engine.log_text())
        self.assertEqual([], self.job.rows("SELECT 1 FROM tripmeter.shard WHERE owner IS NOT NULL"))

    def test_unknown_certificate(self):
        """A broker that nobody vouches for is not talked to"""
        self.begin_secured(**{"ssl.ca.location": "/etc/ssl/certs"})
        self.start()
        self.engine.await_log("certificate verify failed")


class TransactionTest(Story):
    POLICY = POLICY

    def send(self, *numbers, commit):
        self.producer.begin_transaction()
        for number in numbers:
            self.producer.produce(self.job.topics[0], json.dumps(event(f"x{number}", "acme", now())),
                                  "acme")
        self.producer.flush()
        (self.producer.commit_transaction if commit else self.producer.abort_transaction)()

    def test_transactions(self):
        """Aborted events are not counted, markers are gaps, control records nobody's usage"""
        self.begin(partitions=1)
        self.producer = Producer({"bootstrap.servers": self.job.env.kafka.bootstrap,
                                  "transactional.id": self.job.topics[0],
                                  "partitioner": "murmur2_random"})
        self.producer.init_transactions(30)
        self.start()
        self.send(1, 2, 3, commit=True)
        self.send(*range(100, 120), commit=False)
        self.send(4, 5, commit=True)
        self.send(*range(200, 203), commit=False)
        self.await_counted(5)
        self.gateway.await_allowed("acme")
        # An aborted tail and its marker are the end of the log when the next owner looks at it.
        self.restart()
        self.engine.await_log("event=caught_up")
        self.send(6, 7, 8, 9, commit=True)
        self.await_counted(9)
        self.calls("acme", 1)
        self.await_counted(10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.await_settled()
        # 23 events were taken back, and each of the 5 transactions has ended with a marker.
        self.assertEqual([(10, 10, 23 + 5, 0, 38)], self.job.rows(
            "SELECT processed::int, counted::int, gaps::int, duplicates::int,"
            " (next_offset - base)::int FROM tripmeter.progress"))
        self.assertEqual(0, self.engine.stop())

    def test_open_transaction(self):
        """One that is open holds up nobody: what it may bring is not known to anybody else either"""
        self.begin(partitions=1)
        self.producer = Producer({"bootstrap.servers": self.job.env.kafka.bootstrap,
                                  "transactional.id": self.job.topics[0],
                                  "partitioner": "murmur2_random"})
        self.producer.init_transactions(30)
        self.calls("acme", 9)
        self.producer.begin_transaction()
        self.producer.produce(self.job.topics[0], json.dumps(event("open", "acme", now())), "acme")
        self.producer.flush()
        self.start()
        self.await_counted(9)
        self.engine.await_log("event=caught_up")
        self.assertIsNone(self.gateway.answer("acme"))
        self.producer.commit_transaction()
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.await_counted(10)

    def await_counted(self, count):
        wait_until(lambda: self.job.rows("SELECT counted::int FROM tripmeter.progress")
                   == [(count,)], 20, lambda: f"{count} counted:\n{self.engine.tail()}")


if __name__ == "__main__":
    unittest.main()
