package need

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// Screenshot is what X shows now.
func (x X) Screenshot(t testing.TB) *image.RGBA {
	t.Helper()
	dump, err := x.Client("xwd", "-root", "-silent").Output()
	if err != nil {
		t.Fatalf("xwd: %v", err)
	}
	picture, err := parseXWD(dump)
	if err != nil {
		t.Fatalf("xwd: %v", err)
	}
	return picture
}

// parseXWD reads a dump of a screen whose pixels are bytes of blue, green and red, and perhaps one more (X11/XWDFile.h).
func parseXWD(b []byte) (*image.RGBA, error) {
	const (
		headerSize, format, width, height, byteOrder, bitsPerPixel, bytesPerLine, colors = 0, 2, 4, 5, 7, 11, 12, 19
		zPixmap                                                                          = 2
	)
	field := func(i int) int { return int(binary.BigEndian.Uint32(b[4*i:])) }
	if len(b) < 100 || field(format) != zPixmap || field(byteOrder) != 0 || field(bitsPerPixel) != 24 && field(bitsPerPixel) != 32 {
		return nil, fmt.Errorf("a dump of an unknown kind: % x", b[:min(100, len(b))])
	}
	pixels, size := b[min(len(b), field(headerSize)+12*field(colors)):], field(bitsPerPixel)/8
	if len(pixels) < field(height)*field(bytesPerLine) || field(bytesPerLine) < field(width)*size {
		return nil, fmt.Errorf("a dump cut off after %d bytes", len(b))
	}
	picture := image.NewRGBA(image.Rect(0, 0, field(width), field(height)))
	for y := range field(height) {
		for x := range field(width) {
			p := pixels[y*field(bytesPerLine)+x*size:]
			picture.SetRGBA(x, y, color.RGBA{p[2], p[1], p[0], 255})
		}
	}
	return picture, nil
}

// Keep stores a picture among t's artifacts.
func Keep(t testing.TB, name string, picture image.Image) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.ArtifactDir(), name+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
}
