"""Vignettes and fixture patients as requests: for the demo, the playground, `explain` and the tests."""
