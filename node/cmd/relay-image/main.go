// Command relay-image makes the relay image archive from a static derper,
// without Docker and without a registry, and prints its label. The label is
// written beside the archive too, as <archive>.label.
package main

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"

	"derpman/node/internal/relayimage"
)

func main() {
	derper := flag.String("derper", "", "static derper binary")
	output := flag.String("output", "", "archive to write")
	flag.Parse()
	if *derper == "" || *output == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*derper, *output); err != nil {
		fmt.Fprintln(os.Stderr, "relay-image:", err)
		os.Exit(1)
	}
}

func run(derper, output string) error {
	architecture, err := architectureOf(derper)
	if err != nil {
		return err
	}
	label, err := relayimage.Write(output, derper, architecture)
	if err != nil {
		return err
	}
	if err := os.WriteFile(output+".label", []byte(label+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Println(label)
	return nil
}

// architectureOf a binary that needs nothing but a kernel, as the image has nothing else.
func architectureOf(path string) (string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is not static; build it with CGO_ENABLED=0", path)
		}
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %s, not for a server we know", path, file.Machine)
}
