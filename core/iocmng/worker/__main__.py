"""`python -m iocmng.worker`, which only a host starts."""

from iocmng.worker.main import main

if __name__ == "__main__":
    main()
