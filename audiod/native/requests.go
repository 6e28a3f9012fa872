package native

// Messages of one shape that several commands share, and lists.

// ByIndex names one object: DELETE, FLUSH, TRIGGER, PREBUF and DRAIN of a stream (the index is its channel), FINISH_UPLOAD, the
// KILLs, UNLOAD_MODULE, and the GET_INFO of what has no name.
type ByIndex struct{ Index uint32 }

func (m *ByIndex) Fields(c *Coder) { c.U32(&m.Index) }

// ByName is LOOKUP_SINK and _SOURCE, REMOVE_SAMPLE, SET_DEFAULT_SINK and _SOURCE.
type ByName struct{ Name string }

func (m *ByName) Fields(c *Coder) { c.NullString(&m.Name) }

// ByIndexOrName is GET_SINK_INFO, GET_SOURCE_INFO, GET_CARD_INFO and GET_SAMPLE_INFO: Index is Invalid where Name is meant.
type ByIndexOrName struct {
	Index uint32
	Name  string
}

func (m *ByIndexOrName) Fields(c *Coder) {
	c.U32(&m.Index)
	c.NullString(&m.Name)
}

// IndexReply is the answer to LOOKUP_SINK and _SOURCE, SET_CLIENT_NAME, LOAD_MODULE and PLAY_SAMPLE.
type IndexReply struct{ Index uint32 }

func (m *IndexReply) Fields(c *Coder) { c.U32(&m.Index) }

// List is the answer to a GET_INFO_LIST: records one after another until the packet ends.
type List[T any, P interface {
	*T
	Message
}] []T

func (l *List[T, P]) Fields(c *Coder) {
	if c.writing {
		for i := range *l {
			P(&(*l)[i]).Fields(c)
		}
		return
	}
	*l = nil
	for c.more() {
		var record T
		if P(&record).Fields(c); c.err == nil {
			*l = append(*l, record)
		}
	}
}

// items codes a number and as many records after it.
func items[T any](c *Coder, p *[]T, fields func(*T, *Coder)) {
	n := uint32(len(*p))
	c.U32(&n)
	if n > maxItems {
		c.fail(ErrTooLarge, "a list of %d, %d are allowed", n, maxItems)
	}
	if c.writing {
		for i := range *p {
			fields(&(*p)[i], c)
		}
		return
	}
	*p = nil
	for range n {
		var record T
		if fields(&record, c); c.err != nil {
			return
		}
		*p = append(*p, record)
	}
}
