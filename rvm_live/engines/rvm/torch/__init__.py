"""The network in torch: CUDA graphs, Triton kernels, MPS and the CPU."""
