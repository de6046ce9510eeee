/* Memory of rendered conversations: it goes from one to the next, whichever thread renders it. */
#include "chat.h"

enum { MAX_KEPT_BYTES = 256 << 10 };

ft_err ft_chat_pool_new(ft_chat_pool **out) {
  void *memory;
  *out = NULL;
  ft_err err = ft_alloc(FT_MEM_PREP, sizeof **out, &memory);
  if (err != FT_OK) return err;
  ft_chat_pool *pool = memory;
  if (pthread_mutex_init(&pool->lock, NULL) != 0) {
    ft_free(pool);
    return ft_fail(FT_ERR_INTERNAL, "a mutex cannot be made");
  }
  *out = pool;
  return FT_OK;
}

void ft_chat_pool_free(ft_chat_pool *pool) {
  if (!pool) return;
  for (ft_chat_texts *texts = pool->free, *next; texts; texts = next) {
    next = texts->next;
    ft_jinja_text_fini(&texts->whole);
    ft_jinja_text_fini(&texts->part);
    ft_free(texts);
  }
  pthread_mutex_destroy(&pool->lock);
  ft_free(pool);
}

ft_err ft_chat_take_texts(const ft_chat *chat, ft_chat_texts **out) {
  void *memory = NULL;
  pthread_mutex_lock(&chat->pool->lock);
  *out = chat->pool->free;
  if (*out) chat->pool->free = (*out)->next;
  pthread_mutex_unlock(&chat->pool->lock);
  if (*out) return FT_OK;
  ft_err err = ft_alloc(FT_MEM_PREP, sizeof **out, &memory);
  *out = memory;
  return err;
}

void ft_chat_put_back(const ft_chat *chat, ft_chat_texts *texts) {
  if (!texts) return;
  if (texts->whole.bytes >
      MAX_KEPT_BYTES) { /* one long conversation is no reason to keep so much */
    ft_jinja_text_fini(&texts->whole);
    ft_jinja_text_fini(&texts->part);
  }
  pthread_mutex_lock(&chat->pool->lock);
  texts->next = chat->pool->free;
  chat->pool->free = texts;
  pthread_mutex_unlock(&chat->pool->lock);
}
