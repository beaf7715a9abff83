"""What a process of Cavendish does before anything else."""

import subprocess
import sys

LOOK = """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
from cavendish.serving import OPEN_FILES, run
async def look():
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(OPEN_FILES, hard))
run(look())
"""


def test_a_process_may_hold_as_many_connections_as_the_system_allows() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr) == ("True\n", "")
