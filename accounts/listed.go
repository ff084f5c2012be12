package accounts

import (
	"context"

	"jeton/storage"
)

// listed is a page of records, without those that are damaged, and the cursor of
// the following page, empty at the end.
func listed[T any](ctx context.Context, store *storage.Store, q storage.Query) ([]T, string, error) {
	page, err := store.List(ctx, q)
	if err != nil {
		return nil, "", err
	}
	list := make([]T, 0, len(page.Rows))
	for _, row := range page.Rows {
		rec, err := storage.Decode[T](row)
		if store.Skip(ctx, row, err) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		list = append(list, rec.Value)
	}
	return list, page.Next, nil
}
