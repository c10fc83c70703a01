"""Runs a command at a terminal of its own: COLUMNS ANSWER COMMAND…

What the command writes there goes to stdout. To each question, which is what holds `[y/N] `, or ANSWERS_TO, the answer is typed, unless it is empty, and Enter after it,
unless it ends with a key of its own, such as Ctrl-C.
"""

import fcntl, os, pty, struct, sys, termios

asked = os.environ.get("ANSWERS_TO", "[y/N] ").encode()
columns, answer, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    os.execvp(command[0], command)
seen = b""
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        # Linux says so where others say that nothing comes any more.
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    seen += piece
    if answer and asked in seen:
        os.write(terminal, answer.encode() + (b"" if answer[-1] < " " else b"\n"))
        seen = b""
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
