"""What chatapp knows of itself: facts made at run time, found for a question, put before a model.

`facts` makes them of a `Program`, a value that somebody else reads from the real one; `retrieval`
finds those that a question is about; `wording` puts them into a message.
"""
