"""How long a new execution environment takes, in the runtime emulator and step by step, and its peak memory.

What runs is what `sam build` makes, for this machine's Python and processor: functions and layers and nothing
else. The emulator starts the function's process at the first invocation, so that invocation's time is the whole
cold start: the interpreter, the imports, the application, and the answer.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.runtime_emulator.emulator import Emulator, Layout, build_layout
from tests.support.lambda_event import event, result_of, tool_call

ROUNDS = 7
_COLLECTION = "cold"
_QUERY = {"collection_name": _COLLECTION, "query_texts": ["Who repaired the bicycle?"]}

# Runs in a process of its own. Prints milliseconds by step.
_STEPS = """
import json, sys, time
steps, last = {}, time.perf_counter()
def step(name):
    global last
    now = time.perf_counter()
    steps[name] = (now - last) * 1000
    last = time.perf_counter()
events, context_source, model_dir = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
standard_output, sys.stdout = sys.stdout, sys.stderr
exec(context_source)
last = time.perf_counter()
import mcp.server.lowlevel
step("import mcp")
import mangum, aws_lambda_powertools
step("import Mangum, Powertools")
from connector.handler import handler
step("import and create the rest")
handler(events[0], Context())
step("first tools/list")
import numpy, onnxruntime, tokenizers
step("import numpy, onnxruntime, tokenizers")
from pathlib import Path
from remora.embedding import MiniLM
MiniLM(Path(model_dir)).load()
step("load the model")
handler(events[1], Context())
step("first query, model loaded once more")
handler(events[1], Context())
step("second query")
print(json.dumps(steps), file=standard_output, flush=True)
"""
_CONTEXT = """
class Context:
    function_name = "connector"; memory_limit_in_mb = 1769; aws_request_id = "bench"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:connector"
    def get_remaining_time_in_millis(self): return 29_000
"""


def run(chroma_port: int, _: Path) -> None:
    """Measure and print.

    Args:
        chroma_port: Loopback port of an empty Chroma server.
    """
    print("Building the functions and layers for this machine", file=sys.stderr)
    layout = build_layout()
    environment = {
        "REMORA_CHROMA_HOST": "127.0.0.1",
        "REMORA_CHROMA_PORT": str(chroma_port),
        "REMORA_MEMORY_BUCKET": "remora-memory",
        "REMORA_MODEL_DIR": str(layout.opt / "embedding-model"),
        "POWERTOOLS_SERVICE_NAME": "connector",
        "POWERTOOLS_METRICS_NAMESPACE": "Remora",
    }
    with tempfile.TemporaryDirectory() as folder:
        _fill(layout, environment, Path(folder))
        listing, first, warm, memory = [], [], [], []
        for number in range(ROUNDS):
            with Emulator(layout, "ConnectorFunction", environment, log=Path(folder) / f"{number}.log") as emulator:
                listing.append(_milliseconds(emulator, event("tools/list")))
                first.append(_milliseconds(emulator, tool_call("chroma_query_documents", _QUERY)))
                warm.append(_milliseconds(emulator, tool_call("chroma_query_documents", _QUERY)))
                memory.append(emulator.peak_memory_mb())
    print(f"\nCold start in the runtime emulator, median of {ROUNDS}")
    print(f"  first tools/list, from nothing   {median(listing):7.0f} ms  (target: 1,000 ms)")
    print(f"  first query after it             {median(first):7.0f} ms")
    together = [one + other for one, other in zip(listing, first, strict=True)]
    print(f"  both                             {median(together):7.0f} ms  (target: 2,000 ms)")
    print(f"  next query                       {median(warm):7.0f} ms")
    print(f"  peak memory                      {median(memory):7.0f} MB")
    print(f"\nStep by step, without the emulator, median of {ROUNDS}")
    rounds = [_steps(layout, environment) for _ in range(ROUNDS)]
    for name in rounds[0]:
        print(f"  {name:42} {median(steps[name] for steps in rounds):7.0f} ms")


def _fill(layout: Layout, environment: Mapping[str, str], folder: Path) -> None:
    with Emulator(layout, "ConnectorFunction", environment, log=folder / "fill.log") as emulator:
        result_of(emulator.invoke(tool_call("chroma_create_collection", {"collection_name": _COLLECTION})))
        documents = ["My sister repaired a bicycle in Lisbon.", "The choir painted the north wall."]
        added = tool_call("chroma_add_documents", {"collection_name": _COLLECTION, "documents": documents})
        result_of(emulator.invoke(added))


def _milliseconds(emulator: Emulator, request: dict[str, object]) -> float:
    started = perf_counter()
    answer = emulator.invoke(request)
    elapsed = (perf_counter() - started) * 1000
    result_of(answer)
    return elapsed


def _steps(layout: Layout, environment: Mapping[str, str]) -> dict[str, float]:
    events = [event("tools/list"), tool_call("chroma_query_documents", _QUERY)]
    path = ":".join(map(str, layout.import_path("ConnectorFunction")))
    model = environment["REMORA_MODEL_DIR"]
    run = subprocess.run(
        [sys.executable, "-S", "-c", _STEPS, json.dumps(events), _CONTEXT, model],
        env={**environment, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    steps: dict[str, float] = json.loads(run.stdout)
    return steps
