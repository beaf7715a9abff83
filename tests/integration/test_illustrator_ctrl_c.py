"""A terminal's Ctrl-C reaches every process at once; what becomes of the pictures is the server's to decide."""

import asyncio
import os
import signal

from cavendish.client.headers import read_header
from cavendish.engines.illustrator.engine import Illustrator
from cavendish.ports import ImageRequest
from tests.integration.test_illustrator import drawing_processes


async def test_a_drawing_process_does_not_die_of_ctrl_c_not_even_while_it_starts() -> None:
    before = drawing_processes()
    engine = Illustrator(processes=1)
    request = ImageRequest("task_1", "m", (), "a red apple", "1:1", "1k", 256, 256, "png")
    try:
        drawing = asyncio.create_task(engine.generate(request, lambda: None))
        await asyncio.sleep(0)  # it has been handed to a new process
        processes = list(drawing_processes() - before)
        for pid in processes:
            os.kill(pid, signal.SIGINT)
        picture = await drawing
        os.kill(processes[0], signal.SIGINT)
        again = await engine.generate(request, lambda: None)
        same = list(drawing_processes() - before)
    finally:
        await engine.aclose()

    assert len(processes) == 1
    assert read_header(picture.data) == ("png", 256, 256)
    assert again.data == picture.data
    assert same == processes, "nobody had to be replaced"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []), "this process hears it as before"
