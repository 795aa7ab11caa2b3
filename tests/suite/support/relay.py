# Listens on a port of this network namespace's loopback, prints it, and passes every connection on to the socket of the
# file system that is named: namespaces of networks share files.
import asyncio
import sys


async def copy(reader, writer):
    try:
        while said := await reader.read(65536):
            writer.write(said)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass


async def serve(reader, writer):
    there, back = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(copy(reader, back), copy(there, writer))
    writer.close()
    back.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
