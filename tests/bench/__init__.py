"""What the service can do on this machine, beside what the machine can do: `make bench`.

A part measures one thing and is a module with a `PART`; to add one, write the module and name it in `parts.py`:

    PART = Part(
        name="sweep",                       # make bench ONLY=sweep
        title="A full sweep",
        about="What is measured and how, in Markdown; it must fit whatever comes out.",
        measure=measure,                    # (Bench) -> Figures
        by_default=False,                   # only when named; its last result stays in docs/benchmarks.md
    )

`measure` gets a `Bench`: `bench.rounds` is how often to measure (1 with QUICK=1), `bench.pick(5_000, 200)` chooses a
size for a whole or a quick run, `bench.ground` has databases and processes (see `processes.py`), `bench.say` tells how
far it is. It returns `Figures`: rows, each with a value for every round and, where there is one, the value of its
reference measured in the same round, and notes, which are Markdown paragraphs below the table.
"""
