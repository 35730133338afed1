"""Code out of an answer, run after asking: what runs which language (`programs`), one run within
its limits (`run`), and the process that leaves nothing of it behind (`keeper`)."""
