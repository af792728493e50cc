// Verify a checkpoint, and proofs against it, with golang.org/x/mod alone: as JSON on standard input, all but vkey and note
// optional. Ends with 0 and the checkpoint's text, or with 1 and why not.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type asked struct {
	Vkey, Note string
	Older      string
	Index      int64
	Entry      []byte
	Inclusion  []tlog.Hash
	Older2New  []tlog.Hash `json:"consistency"`
}

// read opens a signed note, and returns the size and root that it states.
func read(text string, vkey string) (string, int64, tlog.Hash, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", 0, tlog.Hash{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return "", 0, tlog.Hash{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return "", 0, tlog.Hash{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", 0, tlog.Hash{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return opened.Text, size, root, err
}

func verify() error {
	var it asked
	if err := json.NewDecoder(os.Stdin).Decode(&it); err != nil {
		return err
	}
	text, size, root, err := read(it.Note, it.Vkey)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if it.Entry != nil {
		if err := tlog.CheckRecord(it.Inclusion, size, root, it.Index, tlog.RecordHash(it.Entry)); err != nil {
			return fmt.Errorf("inclusion: %w", err)
		}
	}
	if it.Older != "" {
		_, before, beforeRoot, err := read(it.Older, it.Vkey)
		if err != nil {
			return fmt.Errorf("older checkpoint: %w", err)
		}
		if err := tlog.CheckTree(it.Older2New, size, root, before, beforeRoot); err != nil {
			return fmt.Errorf("consistency: %w", err)
		}
	}
	fmt.Print(text)
	return nil
}

func main() {
	if err := verify(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
