#!/usr/bin/python3
"""validate.py SCHEMA FILE...: each file holds what the schema says; exit status 1 and the reasons if not."""
import json
import sys

import jsonschema

with open(sys.argv[1]) as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
bad = 0
for name in sys.argv[2:]:
    with open(name) as file:
        for error in validator.iter_errors(json.load(file)):
            print(f"{name}: {'/'.join(map(str, error.path))}: {error.message}")
            bad = 1
sys.exit(bad)
