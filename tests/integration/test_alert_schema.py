"""Protects: what webhooks carry is what schemas/alert.v1.json promises."""

import glob
import json
import os
import unittest

import jsonschema

from tests.lib.server import ROOT


class AlertSchema(unittest.TestCase):
    def test_golden_bodies(self):
        with open(os.path.join(ROOT, "schemas/alert.v1.json"), encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
        judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        paths = sorted(glob.glob(os.path.join(ROOT, "tests/golden/alert_*.json")))
        self.assertGreaterEqual(len(paths), 5)
        for path in paths:
            with self.subTest(os.path.basename(path)), open(path, encoding="utf-8") as file:
                judge.validate(json.load(file))
