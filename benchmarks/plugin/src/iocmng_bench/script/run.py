import sys
import time

print("first line at", time.time())
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
