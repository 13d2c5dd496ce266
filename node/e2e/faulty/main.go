// Command faulty passes for derpman-node until it is asked to serve.
package main

import (
	"fmt"
	"os"
	"time"
)

// version and fault are set by the linker.
var version, fault string

func main() {
	switch os.Args[1] {
	case "version":
		fmt.Println(version)
	case "check":
		if fault == "settings" {
			fmt.Fprintln(os.Stderr, "port range is not to my taste")
			os.Exit(1)
		}
	case "serve":
		if fault == "hangs" {
			time.Sleep(time.Hour)
		}
		os.Exit(3)
	}
}
