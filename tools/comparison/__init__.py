"""Runs Bibop and its peers on the same work and reports what came of it: tools/compare."""
