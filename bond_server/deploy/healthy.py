#!/usr/bin/env python3
"""Ask the Bond on a port of this machine whether it can serve, for health checks: `healthy 8000`.

Exits with 0 if it can; else with 1, and says what it answered.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

WITHIN_S = 3.0


def main(port: str) -> int:
    """Ask, and return the exit status."""
    url = f"http://127.0.0.1:{int(port)}/health/ready"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=WITHIN_S) as answer:
            return int(answer.status != 200)
    except urllib.error.HTTPError as error:
        sys.stdout.write(error.read().decode(errors="replace") + "\n")
    except OSError as error:
        sys.stdout.write(f"{url}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
