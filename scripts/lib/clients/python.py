"""Jobs from clients that others wrote, on a running worker: one client a call.

python.py CLIENT BROKER QUEUE: asks with CLIENT, says `ok` or why not. The worker's model is builtin:echo.
"""

import asyncio
import json
import sys
import uuid

TIMEOUT = 30
QUESTION = "退货政策是什么？ Größe ✓"


class Wrong(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Wrong(what)


def check(messages, ident):
    """What came back for one streamed question: chunks, then the reply."""
    *chunks, (kind, correlation, reply) = messages
    need(kind == "chat.reply", f"the last message is {kind}")
    need(correlation == ident, f"correlation_id {correlation}")
    need(reply["status"] == "succeeded" and reply["id"] == ident, f"the reply is {reply}")
    need(reply["answer"] == QUESTION, f"the answer is {reply['answer']}")
    need("warnings" not in reply, f"warnings {reply.get('warnings')}")
    need(all(chunk[0] == "chat.chunk" for chunk in chunks), "something between the chunks")
    if chunks:
        need("".join(chunk[2]["delta"] for chunk in chunks) == QUESTION, "the chunks are not the answer")


def job(**more):
    return {"query": QUESTION, "options": {"cache": "bypass"}, **more}


def pika_client(broker, queue):
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(broker))
    channel = connection.channel()
    for reply_to in ["amq.rabbitmq.reply-to", channel.queue_declare("", exclusive=True).method.queue]:
        ident, messages = uuid.uuid4().hex, []
        # Direct replies come to the channel that asks.
        consumer = channel.consume(reply_to, auto_ack=True, inactivity_timeout=TIMEOUT)
        if reply_to == "amq.rabbitmq.reply-to":
            tag = channel.basic_consume(reply_to, lambda *got: messages.append(got[2:]), auto_ack=True)
        channel.basic_publish(
            "", queue, json.dumps(job(stream=True)),
            pika.BasicProperties(
                content_type="application/json", delivery_mode=2, message_id=ident, reply_to=reply_to, priority=9))
        if reply_to == "amq.rabbitmq.reply-to":
            deadline = TIMEOUT * 10
            while deadline and not any(p.type == "chat.reply" for p, _ in messages):
                connection.process_data_events(0.1)
                deadline -= 1
            channel.basic_cancel(tag)
        else:
            for method, properties, body in consumer:
                need(method is not None, "no reply in time")
                messages.append((properties, body))
                if properties.type == "chat.reply":
                    break
            channel.cancel()
        need(messages, f"no reply at {reply_to}")
        check([(p.type, p.correlation_id, json.loads(b)) for p, b in messages], ident)
    connection.close()


async def aio_pika_client(broker, queue):
    import aio_pika

    connection = await aio_pika.connect(broker)
    async with connection:
        channel = await connection.channel()
        own = await channel.declare_queue(exclusive=True)
        direct = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        for replies in [own, direct]:
            ident, messages = uuid.uuid4().hex, []
            # Direct replies are consumed before the question is asked.
            async with replies.iterator(timeout=TIMEOUT, no_ack=True) as arrived:
                await channel.default_exchange.publish(
                    aio_pika.Message(
                        json.dumps(job(stream=True)).encode(), content_type="application/json", message_id=ident,
                        correlation_id=ident, reply_to=replies.name, priority=9,
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT, headers={"n": -5, "nested": {"list": [1, "x"]}}),
                    routing_key=queue)
                async for message in arrived:
                    messages.append((message.type, message.correlation_id, json.loads(message.body)))
                    if message.type == "chat.reply":
                        break
            check(messages, ident)


def kombu_client(broker, queue):
    import kombu

    with kombu.Connection(broker) as connection, connection.channel() as channel:
        replies = kombu.Queue(f"clients.{uuid.uuid4().hex}", exclusive=True, channel=channel)
        replies.declare()
        # kombu's "gzip" is zlib, said in a header of its own.
        for compression in [None, "gzip"]:
            ident, messages = uuid.uuid4().hex, []
            kombu.Producer(channel).publish(
                job(stream=True), serializer="json", compression=compression, routing_key=queue, message_id=ident,
                correlation_id=ident, reply_to=replies.name, priority=9)

            def take(body, message):
                body = json.loads(body) if isinstance(body, (str, bytes)) else body
                messages.append((message.properties.get("type"), message.properties["correlation_id"], body))
                message.ack()

            with kombu.Consumer(channel, queues=[replies], callbacks=[take], accept=["json"]):
                while not messages or messages[-1][0] != "chat.reply":
                    connection.drain_events(timeout=TIMEOUT)
            check(messages, ident)
        # As Celery's send_task does.
        ident, messages = uuid.uuid4().hex, []
        kombu.Producer(channel).publish(
            [[QUESTION], {}, {"callbacks": None}], serializer="json", routing_key=queue, correlation_id=ident,
            reply_to=replies.name, headers={"lang": "py", "task": "tasks.chat", "id": ident})
        with kombu.Consumer(channel, queues=[replies], callbacks=[take], accept=["json"]):
            while not messages:
                connection.drain_events(timeout=TIMEOUT)
        reply = messages[0][2]
        need(reply["id"] == ident and "Celery" in reply["error"]["message"], f"Celery's task is told {reply}")


def main():
    _, client, broker, queue = sys.argv
    try:
        if client == "pika":
            pika_client(broker, queue)
        elif client == "aio-pika":
            asyncio.run(aio_pika_client(broker, queue))
        elif client == "kombu":
            kombu_client(broker, queue)
        else:
            raise Wrong("no such client")
    except Exception as error:  # whatever it is, it is the test's failure
        print(f"{client}: {type(error).__name__}: {error}")
        return 1
    print("ok")
    return 0


sys.exit(main())
