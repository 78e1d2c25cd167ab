package e2e

func removeBinary() {}
