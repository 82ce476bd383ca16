"""Takes an order, brews the coffee in Python and in this process, waits until the reply is there, takes the next.

    one_at_a_time.py BOOTSTRAP GROUP TOPIC
"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main(bootstrap, group, topic):
    async with (
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest") as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
    ):
        async for record in consumer:
            headers = dict(record.headers)
            await producer.send_and_wait(headers["reply-to"].decode(), brew(record), record.key, headers=[
                ("status-code", b"201"), ("correlation-id", headers["correlation-id"])])


def brew(record):
    """What the café's handler in Rust answers."""
    order = json.loads(record.value)
    return json.dumps({"drink": order["drink"], "size": order.get("size", "medium"), "extras": [],
                       "ordered_at": f"/tables/{record.key.decode()}/orders",
                       "order_bytes": len(record.value)}).encode()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
