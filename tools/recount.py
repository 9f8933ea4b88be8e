#!/usr/bin/env python3
"""Recounts a demo from what its clients wrote down, against the running service.

    recount.py --history FILE --report FILE --url URL [--quarantine FILE]

URL is the FHIR base through the gateway (`demo --keep` prints it). --quarantine is the output of
`demo --quarantine FILE` (or of `firebreak dr quarantine export`): one commit a line, each with its
changes: id, version, body_sha256.
Exit code 0 only when the report's acked_writes, lost_writes, quarantined_writes and
unaccounted_writes are what is counted here. Shares no code with the servers: Python's standard
library alone.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import http.client
import json
import sys
import threading
import urllib.parse

ASKERS = 8


def acknowledged(path):
    """The first answer for each idempotency key that told a client its write stands."""
    writes = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["method"] == "GET" or not 200 <= record["status"] < 300:
                continue
            writes.setdefault(record["idempotency_key"], record)
    return list(writes.values())


class Service:
    """Reads versions, one connection a thread."""

    def __init__(self, url):
        self.parts = urllib.parse.urlsplit(url)
        self.local = threading.local()

    def get(self, path):
        for attempt in range(3):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPConnection(self.parts.netloc, timeout=20)
                self.local.connection = connection
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.local.connection = None
                if attempt == 2:
                    raise

    def holds(self, record):
        base = self.parts.path.rstrip("/")
        name = record["id"] or record["url"].rsplit("/", 1)[-1]
        version = record["version"]
        # A deletion of what is not there makes no version.
        place = f"{name}/_history/{version}" if version else name
        status, body = self.get(f"{base}/Observation/{place}")
        if record["method"] == "DELETE":
            return status == 410 or (not version and status == 404)
        return status == 200 and hashlib.sha256(body).hexdigest() == record["body_sha256"]


def quarantine(path):
    """Quarantined bodies by id and version."""
    held = {}
    if path:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    for change in json.loads(line)["changes"]:
                        held[(change["id"], change["version"])] = change.get("body_sha256")
    return held


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", required=True)
    parser.add_argument("--report", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--quarantine")
    arguments = parser.parse_args()

    writes = acknowledged(arguments.history)
    service = Service(arguments.url)
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
        present = list(pool.map(service.holds, writes))
    lost = [write for write, there in zip(writes, present) if not there]
    held = quarantine(arguments.quarantine)
    missing = object()
    fate = collections.Counter(
        held.get((write["id"] or write["url"].rsplit("/", 1)[-1], write["version"]), missing)
        == write["body_sha256"]
        for write in lost
    )
    counted = {
        "acked_writes": len(writes),
        "lost_writes": len(lost),
        "quarantined_writes": fate[True],
        "unaccounted_writes": fate[False],
    }
    with open(arguments.report, encoding="utf-8") as file:
        report = json.load(file)
    differing = {name: report[name] for name, count in counted.items() if report[name] != count}
    print(json.dumps({"counted": counted, "differs": differing}))
    return 1 if differing or counted["unaccounted_writes"] else 0


if __name__ == "__main__":
    sys.exit(main())
