"""The `chatapp` command; what it needs is loaded once it is known which command runs."""

from chatapp.cli import main

if __name__ == "__main__":
    main()
