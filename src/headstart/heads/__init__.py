"""The new classifier: linear, kernel, mlp and nearest-mean heads, fitted on features."""
