"""A Zuora tenant on localhost in its own process: for demo, tests and benchmarks. It imports nothing else of ours."""
