package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// maxPageData is the maximum length of the data of a page's events in bytes.
const maxPageData = 4 << 20

// readPage selects at most $2 entries after the position $1, with at most $3
// bytes of data. total is the number of entries without the limit $3.
const readPage = `
select position, kind, target, id, since, until, coalesce(data, ''), total from (
	select *, count(*) over () as total, sum(coalesce(octet_length(data), 0)) over (order by position) as size from (
		select position, kind, target, id, since, until, data from log
		where position > $1 and until > (select now / 1000 from clock) and not coalesce(kind = '' and target <> 4
			and started <= (select since from everything) and until <= (select until from everything), false)
		order by position limit $2
	) as entries
) as sized
where size <= $3 order by position`

// Read implements [store.Revocations].
func (s *Store) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	var page store.Page
	var h head
	err := s.observe(ctx, &h, func() error {
		return s.transact(ctx, reading, func(t *transaction) error {
			queueHead(t, &h)
			// One more entry than a page holds shows whether the
			// page is the last.
			t.queue(readPage, min(after.Sequence, math.MaxInt64), store.MaxPage+1, maxPageData).Query(func(rows pgx.Rows) (err error) {
				page, err = scanPage(rows)
				return err
			})
			return nil
		})
	})
	if err == nil {
		err = h.check(after)
	}
	if err != nil {
		return store.Page{}, err
	}
	page.Next.Epoch = h.epoch
	if page.End {
		page.Next.Sequence = uint64(h.last)
	}
	page.Now, page.Known = s.position.times(h)
	return page, nil
}

// scanPage returns the rows of readPage.
func scanPage(rows pgx.Rows) (store.Page, error) {
	defer rows.Close()
	var page store.Page
	var total, read int64
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.position, &e.kind, &e.target, &e.id, &e.since, &e.until, &e.data, &total); err != nil {
			return store.Page{}, err
		}
		if read == store.MaxPage {
			break
		}
		if err := e.addTo(&page); err != nil {
			return store.Page{}, err
		}
		read++
	}
	page.End = read == total
	return page, rows.Err()
}
