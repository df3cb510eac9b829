"""The page on this machine or on a Space: `python app.py`, or `python app.py --help` for the options."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options. A wrong one ends with one sentence on standard error and code 2."""
    parser = argparse.ArgumentParser(
        prog="app.py", description="Find out whether a fine-tune is worth it on your data."
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1; 0.0.0.0 opens it to the network)")
    parser.add_argument("--port", type=_port, help="port (default: the first free one from 7860 on)")
    parser.add_argument("--root", type=Path, help="directory of the runs (default FINETUNE_HOME, else the user's data)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio; needs --auth")
    parser.add_argument(
        "--auth",
        type=_auth,
        default=os.environ.get("FINETUNE_AUTH") or None,
        metavar="USER:PASSWORD",
        help="ask for this name and password; better as FINETUNE_AUTH in the environment, which no process list shows",
    )
    options = parser.parse_args(argv)
    if options.share and not options.auth:
        parser.error(
            "--share makes a link that anybody on the internet can open, with your data and your GPU behind it: "
            "give --auth USER:PASSWORD too, or set FINETUNE_AUTH."
        )
    return options


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"“{text}” is no port; give a number from 1 to 65535.")
    return int(text)


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("write it as USER:PASSWORD.")
    return user, password


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    # Before gradio is imported: it asks these variables at import and sends nothing anywhere.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from finetune.ui.page import studio

    try:
        page = studio(root=options.root)
        _, local, public = page.launch(
            server_name=options.host,  # None takes GRADIO_SERVER_NAME, which a Space sets
            server_port=options.port,
            share=options.share,
            auth=options.auth,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:  # the port is taken, or the address is not of this machine
        sys.exit(f"app.py: {error}")
    print(f"finetune is open at {public or local}", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
