"""The worker that a good Python engineer would write to Parley's own contract with aio-pika, redis-py, aiohttp and uvloop:
a task a delivery, answers kept in Redis for ten minutes, the confirmed reply before the acknowledgement. Measured beside
Parley where questions are repeated.

With BATCH it is the agent that such teams often have: it waits until BATCH questions are there, or for BATCH_MS, and has them
embedded and searched for together. It keeps no answers then.

Environment: AMQP_URL, REDIS_URL, QUEUE, PREFETCH, BACKEND_URL; BATCH, BATCH_MS.
"""

import asyncio
import hashlib
import json
import os
import signal
import time

import aio_pika
import aiohttp
import redis.asyncio
import uvloop

BACKEND = os.environ["BACKEND_URL"]
BATCH, BATCH_MS = int(os.environ.get("BATCH", "0")), int(os.environ.get("BATCH_MS", "50"))
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections/"


def packed(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Worker:
    def __init__(self, http, store, replies, search):
        self.http, self.store, self.replies, self.search = http, store, replies, search
        self.waiting, self.timer, self.searches = [], None, set()

    async def post(self, path, body):
        async with self.http.post(BACKEND + path, data=packed(body)) as response:
            response.raise_for_status()
            return json.loads(await response.read())

    async def find(self, queries):
        embedded = await self.post("/v1/embeddings", {"model": "fake-embed", "input": queries})
        found = await self.post(
            self.search,
            {
                "query_embeddings": [row["embedding"] for row in embedded["data"]],
                "n_results": 4,
                "include": ["documents", "metadatas", "distances"],
            },
        )
        return [
            [
                {"id": id, "score": 1 - distance, "text": text}
                for id, distance, text in zip(found["ids"][i], found["distances"][i], found["documents"][i])
            ]
            for i in range(len(queries))
        ]

    async def find_together(self, query):
        found = asyncio.get_running_loop().create_future()
        self.waiting.append((query, found))
        if len(self.waiting) >= BATCH:
            self.begin()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(BATCH_MS / 1000, self.begin)
        return await found

    def begin(self):
        if self.timer is not None:
            self.timer.cancel()
        batch, self.waiting, self.timer = self.waiting, [], None
        search = asyncio.create_task(self.search_for(batch))
        self.searches.add(search)
        search.add_done_callback(self.searches.discard)

    async def search_for(self, batch):
        try:
            for (_, found), sources in zip(batch, await self.find([query for query, _ in batch])):
                found.set_result(sources)
        except Exception as error:
            for _, found in batch:
                if not found.done():
                    found.set_exception(error)

    async def answer(self, query):
        sources = await self.find_together(query) if BATCH else (await self.find([query]))[0]
        passages = "".join(f"<passage>\n[{i + 1}]\n{source['text']}\n</passage>\n" for i, source in enumerate(sources))
        completion = await self.post(
            "/v1/chat/completions",
            {
                "model": "fake",
                "temperature": 0.3,
                "seed": 42,
                "messages": [
                    {"role": "system", "content": "You are a customer service assistant."},
                    {"role": "user", "content": f"{passages}\n\nQuestion: {query}"},
                ],
            },
        )
        return {"answer": completion["choices"][0]["message"]["content"], "sources": sources}

    async def work(self, delivery):
        began = time.monotonic()
        query = json.loads(delivery.body)["query"]
        key = "answers:" + hashlib.sha256(query.encode()).hexdigest()
        kept = None if BATCH else await self.store.get(key)
        if kept:
            answer = json.loads(kept)
        else:
            answer = await self.answer(query)
            if not BATCH:
                await self.store.set(key, packed(answer), ex=600)
        body = packed(
            {
                "id": delivery.message_id,
                "status": "succeeded",
                **answer,
                "attempts": 1,
                "cached": "redis" if kept else "none",
                "timings_ms": {"total": round((time.monotonic() - began) * 1000, 3)},
                "metadata": {},
            }
        )
        await self.store.set("chat:result:" + delivery.message_id, body, ex=86400)
        await self.replies.publish(
            aio_pika.Message(
                body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                type="chat.reply",
                message_id=delivery.message_id,
                correlation_id=delivery.correlation_id,
            ),
            routing_key=delivery.reply_to,
            mandatory=True,
        )
        await delivery.ack()

    async def take(self, delivery):
        try:
            await self.work(delivery)
        except Exception as error:  # whatever it is, another worker may do better
            print("failed:", repr(error), flush=True)
            await delivery.reject(requeue=True)


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    jobs = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await jobs.channel()
    await channel.set_qos(prefetch_count=int(os.environ["PREFETCH"]))
    replies = await (await aio_pika.connect(os.environ["AMQP_URL"])).channel(publisher_confirms=True)
    store = redis.asyncio.from_url(os.environ["REDIS_URL"], max_connections=64)
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    headers = {"content-type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        async with http.get(BACKEND + COLLECTIONS + "docs") as response:
            search = COLLECTIONS + (await response.json(content_type=None))["id"] + "/query"
        worker = Worker(http, store, replies.default_exchange, search)
        running = set()

        async def taken(delivery):
            task = asyncio.create_task(worker.take(delivery))
            running.add(task)
            task.add_done_callback(running.discard)

        queue = await channel.get_queue(os.environ["QUEUE"], ensure=False)
        await queue.consume(taken)
        await stop.wait()
        os._exit(0)


uvloop.run(main())
