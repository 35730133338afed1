"""Models that somebody wrote by hand: which tensor is what, and how they compute.

`finding` tells the roles of tensors by names and shapes (`roles`), `form` lists what neither tells,
`choices` what a checkpoint leaves open of it, `judging` lets a trained model say how it was built,
and `mapping` writes the result for the graph of llama.cpp that computes it.
"""
