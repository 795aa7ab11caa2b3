# Sockets on both sides of a wire. A probe is a line, `SOURCE DESTINATION PROTOCOL PORT`.
#   probe.py serve PORT..   answers on TCP and UDP with what it is told, and says `ready` once it does
#   probe.py ask            reads probes, and prints what became of each: OPEN, or CLOSED with how
#   probe.py watch          reads lines of PATIENCE and a probe up to an empty one, and connects by each again and again, until
#                           its input ends; then it prints for each how often it was open and how often closed. With
#                           patience `long` a connection of which the first packet was lost counts as closed, however
#                           it ends; with `short` nobody waits for one that is not answered at once
#   probe.py flood PROBE..  sends by UDP some thousand times a second until its input ends
#   probe.py hold PROBE     connects, says `ready`, and for each line says whether the connection still answers
import selectors
import socket
import struct
import sys
import threading

PERIOD = 0.05


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(ports):
    selector = selectors.DefaultSelector()
    for address in ("0.0.0.0", "::"):
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                s = socket.socket(family(address), kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if address == "::":
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    s.listen(512)
                selector.register(s, selectors.EVENT_READ, "accept" if kind == socket.SOCK_STREAM else "udp")
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            s = key.fileobj
            try:
                if key.data == "accept":
                    selector.register(s.accept()[0], selectors.EVENT_READ, "tcp")
                elif key.data == "udp":
                    said, peer = s.recvfrom(16)
                    s.sendto(said, peer)
                else:
                    said = s.recv(1024)
                    if said:
                        s.sendall(said)
                    else:
                        raise ConnectionError
            except OSError:
                if key.data == "tcp":
                    selector.unregister(s)
                    s.close()


def connected(probe, patience):
    source, destination, protocol, port = probe
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    s = socket.socket(family(destination), kind)
    try:
        s.settimeout(patience)
        s.bind((source, 0))
        s.connect((destination, int(port)))
        if protocol == "udp":
            s.send(b"x")
            s.recv(16)
        return s
    except OSError:
        s.close()
        raise


def ask(probe):
    try:
        connected(probe, 1.5).close()
        return "OPEN"
    except OSError as why:
        return "CLOSED %s" % why


def resent(s):
    # `tcpi_total_retrans` of `struct tcp_info` (linux/tcp.h).
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]


def watch():
    probes = []
    for line in sys.stdin:
        if not line.strip():
            break
        probes.append(line.split())
    counts = [{True: 0, False: 0} for _ in probes]
    first = [threading.Event() for _ in probes]
    over, lock = threading.Event(), threading.Lock()

    def once(patience, probe):
        try:
            with connected(probe, 30 if patience == "long" else 0.2) as s:
                return patience == "short" or resent(s) == 0
        except OSError:
            return False

    def again(at):
        while not over.is_set():
            passed = once(probes[at][0], probes[at][1:])
            with lock:
                counts[at][passed] += 1
            first[at].set()
            over.wait(PERIOD)

    # Whoever waits in vain for an answer does not look meanwhile, so several look.
    many = [(at,) for at, probe in enumerate(probes) for _ in range(1 if probe[0] == "long" else 4)]
    threads = [threading.Thread(target=again, args=args) for args in many]
    for thread in threads:
        thread.start()
    for one in first:
        one.wait()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    for count in counts:
        print(count[True], count[False])


def flood(probes):
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((probes[0].split()[0], 0))
    to = [(destination, int(port)) for _, destination, _, port in (probe.split() for probe in probes)]
    print("ready", flush=True)
    while not over.wait(0.002):
        for address in to * 5:
            try:
                s.sendto(b"x", address)
            except OSError:
                # Nobody listens there, and the last one's answer was that.
                pass


def hold(probe):
    s = connected(probe, 30)
    print("ready", flush=True)
    for line in sys.stdin:
        s.settimeout(float(line))
        try:
            s.sendall(b"x")
            print("alive" if s.recv(1) else "dead", flush=True)
        except OSError:
            print("dead", flush=True)


def main():
    if sys.argv[1] == "serve":
        serve([int(port) for port in sys.argv[2:]])
    if sys.argv[1] == "watch":
        return watch()
    if sys.argv[1] == "flood":
        return flood(sys.argv[2:])
    if sys.argv[1] == "hold":
        return hold(sys.argv[2:])
    probes = [line.split() for line in sys.stdin]
    answers = [""] * len(probes)

    def one(at):
        answers[at] = ask(probes[at])

    threads = [threading.Thread(target=one, args=(at,)) for at in range(len(probes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(answers))


main()
