"""The generated tables of the documents: `python -m benchmarks.tables` rewrites them in place from the result files.

A page holds each generated table between two markers, `<!-- table: NAME -->` and `<!-- end -->`. Nothing outside the
markers is touched.
"""
