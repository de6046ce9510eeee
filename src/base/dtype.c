/* Half precision (IEEE 754 binary16) and names of number formats. */
#include "ft/base.h"

const char *ft_dtype_name(ft_dtype t) {
  return t == FT_F32 ? "F32" : t == FT_BF16 ? "BF16" : "F16";
}

float ft_f32_from_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1fu,
           fraction = h & 0x3ffu;
  if (exponent == 0x1f) return ft_f32_from_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return ft_f32_from_bits(sign | (exponent + 112u) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f; /* zero and subnormal: exact */
  return sign ? -magnitude : magnitude;
}

uint16_t ft_f16_from_f32(float value) {
  uint32_t bits = ft_f32_bits(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to 65536 or more */
  if (magnitude < 0x38800000u) {
    /* subnormal: adding 0.5 leaves the wanted bits, rounded to nearest even, at the low end */
    uint32_t rounded = ft_f32_bits(ft_f32_from_bits(magnitude) + 0.5f) - ft_f32_bits(0.5f);
    return (uint16_t)(sign | rounded);
  }
  uint32_t rounded = magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u);
  return (uint16_t)(sign | rounded >> 13);
}

const char *ft_code_name(ft_code code) {
  static const char *const names[FT_CODE_NUM] = {"bf16", "int8", "nf4"};
  FT_ASSERT(code < FT_CODE_NUM);
  return names[code];
}
