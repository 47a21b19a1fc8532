"""The laptop's broker: a worker that reads while another process writes gets whole messages, and all of them."""

import multiprocessing
from pathlib import Path

from kombu import Connection, Queue

from portal import file_broker

MESSAGES = 400
WRITERS = 3


def connect(folder: Path) -> Connection:
    file_broker.register()
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder)}
    return Connection("files://", transport_options=options | {"polling_interval": 0.001})


def write(folder: Path, writer: int) -> None:
    with connect(folder) as connection, connection.SimpleQueue(Queue("q", routing_key="q")) as queue:
        for number in range(MESSAGES):
            queue.put({"writer": writer, "number": number, "padding": "x" * 2000})


def test_messages_written_while_they_are_read_arrive_whole(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=write, args=(tmp_path, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    seen = set()
    with connect(tmp_path) as connection, connection.SimpleQueue(Queue("q", routing_key="q")) as queue:
        while len(seen) < MESSAGES * WRITERS:
            message = queue.get(timeout=30)
            seen.add((message.payload["writer"], message.payload["number"]))
            message.ack()
    for writer in writers:
        writer.join()
    assert len(seen) == MESSAGES * WRITERS
