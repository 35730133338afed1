"""What chatapp is running on, what is wrong with it and how to mend it.

Promises to finish with a report whatever is broken: llama.cpp is asked in a child process, a
damaged history is a finding. It writes nothing, except that opening an old history migrates it, as
the chat would.
"""

from chatapp.doctor.report import Finding, Report, diagnose

__all__ = ["Finding", "Report", "diagnose"]
