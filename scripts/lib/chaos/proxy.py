"""A TCP proxy that can cut, stall and half-open what goes through it."""

import asyncio

from history import History, now


class Link:
    """A client's connection and the one made for it to the server."""

    def __init__(self, client, server):
        self.writers = {"client": client, "server": server}
        # The side that is left alive, and not told, when the other one has vanished.
        self.survivor = None
        self.is_open = True

    def abort(self):
        for writer in self.writers.values():
            writer.transport.abort()

    def half_open(self, survivor):
        self.survivor = survivor
        self.writers["server" if survivor == "client" else "client"].transport.abort()


class Proxy:
    def __init__(self, name: str, target: int, history: History):
        self.name, self.target, self.history = name, target, history
        self.port = 0
        self.links: set[Link] = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.server = None

    async def open(self):
        """Listens: the first time on a port of the kernel's choice, then on the same one again."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 18)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self):
        """Refuses new connections and resets those that are there."""
        self.server.close()
        for link in self.links:
            link.abort()

    def stall(self):
        """Keeps every connection open, and lets nothing through."""
        self.flowing.clear()

    def resume(self):
        self.flowing.set()

    def half_open(self, survivor: str) -> list[Link]:
        """Resets one side of each connection and leaves the survivor, `client` or `server`, in the belief that all is well."""
        links = [link for link in self.links if link.survivor is None]
        for link in links:
            link.half_open(survivor)
        return links

    async def _serve(self, client_reader, client):
        try:
            await self.flowing.wait()
            server_reader, server = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 18)
        except OSError:
            client.transport.abort()
            return
        self.history.connections.append((now(), self.name))
        link = Link(client, server)
        self.links.add(link)
        await asyncio.gather(
            self._pump(link, "client", client_reader, server), self._pump(link, "server", server_reader, client)
        )
        link.is_open = False
        self.links.discard(link)

    async def _pump(self, link, side, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                await self.flowing.wait()
                # The survivor of a half-open connection talks to nobody.
                if link.survivor is None:
                    writer.write(data)
                    await writer.drain()
            await self.flowing.wait()
        except OSError:
            pass
        if link.survivor is None:
            writer.close()
        elif link.survivor == side:
            link.abort()
