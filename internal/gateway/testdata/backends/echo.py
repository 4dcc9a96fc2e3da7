"""An echo server of Python's websockets that knows nothing of authentication.

Its first message is the identity that the gateway states for the client.
"""
import asyncio
import sys

import websockets


async def echo(socket):
    headers = socket.request_headers
    await socket.send(f"user={headers.get('X-User')} authorization={headers.get('Authorization')}")
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    print("closed", socket.close_code, socket.close_reason, flush=True)


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
