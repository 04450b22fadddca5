package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

const (
	behaviourFile     = ".stand-in.json"
	behaviourVariable = "CHALK_STAND_IN"
	behaviourMost     = 64 << 10
)

var components = []string{"engine", "query-server", "stream-worker", "batch-worker", "background-persistence"}

// behaviour is how a stand-in misbehaves; testbed/images/README.md says what each member means.
type behaviour struct {
	Ready      bool    `json:"ready"`
	ReadyAfter float64 `json:"ready_after"`
	Live       bool    `json:"live"`
	ExitAfter  float64 `json:"exit_after"`
	ExitCode   int     `json:"exit_code"`
	Status     int     `json:"status"`
	Delay      float64 `json:"delay"`
	IgnoreTerm bool    `json:"ignore_term"`
}

// settings is what a process is told by its environment and by the project that it stands for.
type settings struct {
	deployment, environment, component, project string
	sourceDigest, graphDigest                   *string
	port                                        int
	drain, finish                               time.Duration
	behaviour                                   behaviour
}

// settingsOf reads the variables of the pods that chalk-deploy makes.
func settingsOf(variable func(string) string) (settings, error) {
	text := func(name, otherwise string) string {
		if value := variable(name); value != "" {
			return value
		}
		return otherwise
	}
	optional := func(name string) *string {
		if value := variable(name); value != "" {
			return &value
		}
		return nil
	}
	made := settings{
		deployment:   text("CHALK_DEPLOYMENT_ID", "none"),
		environment:  text("CHALK_ENVIRONMENT", "none"),
		component:    text("CHALK_COMPONENT", "engine"),
		project:      text("CHALK_PROJECT", "none"),
		sourceDigest: optional("CHALK_SOURCE_DIGEST"),
		graphDigest:  optional("CHALK_GRAPH_DIGEST"),
	}
	if !isID(made.deployment) {
		return made, fmt.Errorf("CHALK_DEPLOYMENT_ID is %.100q and no id", made.deployment)
	}
	if !slices.Contains(components, made.component) {
		return made, fmt.Errorf("CHALK_COMPONENT is %.100q, and not one of %v", made.component, components)
	}
	port, err := number(variable, "PORT", 8080, 65535)
	if err != nil {
		return made, err
	}
	// The pods' preStop has waited 10 s before SIGTERM comes; 30 s are left then.
	drain, err := number(variable, "CHALK_DRAIN_SECONDS", 5, 3600)
	if err != nil {
		return made, err
	}
	finish, err := number(variable, "CHALK_FINISH_SECONDS", 20, 3600)
	if err != nil {
		return made, err
	}
	made.port, made.drain, made.finish = int(port), seconds(drain), seconds(finish)
	made.behaviour, err = behaviourOf(text("CHALK_SOURCE_DIRECTORY", "/app"), variable(behaviourVariable))
	return made, err
}

// isID tells whether a text can stand in a header.
func isID(text string) bool {
	for _, symbol := range []byte(text) {
		if symbol <= ' ' || symbol > '~' {
			return false
		}
	}
	return len(text) <= 200
}

func number(variable func(string) string, name string, otherwise, most float64) (float64, error) {
	text := variable(name)
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= 0 && value <= most) {
		return 0, fmt.Errorf("%s is %.100q and no number from 0 to %g", name, text, most)
	}
	return value, nil
}

// behaviourOf reads the project's file, and the variable, whose members go before the file's.
func behaviourOf(source, variable string) (behaviour, error) {
	made := behaviour{Ready: true, Live: true, ExitAfter: -1, ExitCode: 1, Status: 200}
	file, err := os.Open(filepath.Join(source, behaviourFile))
	if err == nil {
		defer file.Close()
		content, err := io.ReadAll(io.LimitReader(file, behaviourMost))
		if err != nil {
			return made, err
		}
		if err := decode(content, &made); err != nil {
			return made, fmt.Errorf("%s: %w", behaviourFile, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return made, err
	}
	if variable != "" {
		if err := decode([]byte(variable), &made); err != nil {
			return made, fmt.Errorf("%s: %w", behaviourVariable, err)
		}
	}
	if made.Status < 200 || made.Status > 599 || made.ExitCode < 0 || made.ExitCode > 255 {
		return made, errors.New("the behaviour's status is none of HTTP, or its exit_code is none of a process")
	}
	return made, nil
}

func decode(content []byte, made *behaviour) error {
	// Go takes null for an object that says nothing.
	if !bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		return errors.New("it is no JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(made); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}
