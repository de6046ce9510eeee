/* Where a thread's time goes, by part of the work. */
#include "ft/base.h"

static _Thread_local double spent_s[FT_TIME_NUM_PARTS];
static _Thread_local double since_s; /* 0: nothing entered yet */
static _Thread_local ft_part now_in = FT_TIME_OTHER;

const char *ft_part_name(ft_part part) {
  static const char *const names[FT_TIME_NUM_PARTS] = {
      [FT_TIME_OTHER] = "other",
      [FT_TIME_FORWARD] = "matmul_forward",
      [FT_TIME_BACKWARD_INPUT] = "matmul_backward_input",
      [FT_TIME_BACKWARD_WEIGHT] = "matmul_backward_weight",
      [FT_TIME_HEAD] = "matmul_head",
      [FT_TIME_ATTENTION] = "attention",
      [FT_TIME_ELEMENTWISE] = "elementwise",
      [FT_TIME_LOSS] = "loss",
      [FT_TIME_OPTIMIZER] = "optimizer",
      [FT_TIME_COMMUNICATION] = "communication",
      [FT_TIME_DATA] = "data"};
  FT_ASSERT(part < FT_TIME_NUM_PARTS);
  return names[part];
}

ft_part ft_time_enter(ft_part part) {
  FT_ASSERT(part < FT_TIME_NUM_PARTS);
  double now_s = ft_now_s();
  ft_part before = now_in;
  if (since_s > 0) spent_s[before] += now_s - since_s;
  since_s = now_s;
  now_in = part;
  return before;
}

void ft_time_spent(double seconds[FT_TIME_NUM_PARTS]) {
  ft_time_enter(now_in);
  for (int i = 0; i < FT_TIME_NUM_PARTS; i++)
    seconds[i] = spent_s[i];
}
