package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"snippets/webhooks"
)

func decode(field string) []byte {
	value, err := base64.StdEncoding.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		header := http.Header{}
		for index, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			if value := fields[index+1]; value != "-" {
				header.Set(name, string(decode(value)))
			}
		}
		if webhooks.Verify(string(decode(fields[0])), header, decode(fields[4])) == nil {
			fmt.Println("accepted")
		} else {
			fmt.Println("refused error")
		}
	}
}
