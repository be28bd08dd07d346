system { host-name vyos }
