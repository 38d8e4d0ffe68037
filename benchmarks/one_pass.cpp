// Computes alpha from a low-resolution linear model and blends over a background, in one pass. `python -m benchmarks
// alternatives` compares Numba's kernels with it. Rows are shared among threads.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

struct Picture {
    int width, height;
    const uint8_t *image;
    const float *slope, *offset;
    int columns, rows;
    const int *x0;
    const float *xs;
    const int *y0;
    const float *ys;
    const uint8_t *plate;
    uint8_t *alpha, *out;
};

uint8_t rounded(float value) {
    value = std::min(std::max(value + 0.5f, 0.0f), 255.0f);
    return static_cast<uint8_t>(static_cast<int>(value));
}

void stretched(const float *line, const Picture &of, float *__restrict into) {
    for (int x = 0; x < of.width; x++) {
        float left = line[of.x0[x]], right = line[std::min(of.x0[x] + 1, of.columns - 1)];
        into[x] = left + (right - left) * of.xs[x];
    }
}

void lines(int first, int last, Picture of) {
    const int width = of.width;
    std::vector<float> memory(4 * static_cast<size_t>(width));
    float *slopes[2] = {&memory[0], &memory[width]}, *offsets[2] = {&memory[2 * width], &memory[3 * width]};
    int held[2] = {-1, -1};
    std::vector<uint8_t> triple(3 * static_cast<size_t>(width));
    auto need = [&](int row) {
        int place = row & 1;
        if (held[place] != row) {
            held[place] = row;
            stretched(of.slope + static_cast<size_t>(row) * of.columns, of, slopes[place]);
            stretched(of.offset + static_cast<size_t>(row) * of.columns, of, offsets[place]);
        }
        return place;
    };
    for (int y = first; y < last; y++) {
        const int i = need(of.y0[y]), j = need(std::min(of.y0[y] + 1, of.rows - 1));
        const float v = of.ys[y];
        const float *__restrict above = slopes[i], *__restrict below = slopes[j];
        const float *__restrict over = offsets[i], *__restrict under = offsets[j];
        const size_t start = static_cast<size_t>(width) * y;
        const uint8_t *__restrict seen = of.image + 3 * start, *__restrict behind = of.plate + 3 * start;
        uint8_t *__restrict made = of.out + 3 * start, *__restrict alpha = of.alpha + start;
        uint8_t *__restrict shares = triple.data();
        for (int x = 0; x < width; x++) {
            float mean = (static_cast<float>(seen[3 * x]) + seen[3 * x + 1] + seen[3 * x + 2]) * (1 / 3.0f);
            float slope = above[x] + (below[x] - above[x]) * v, offset = over[x] + (under[x] - over[x]) * v;
            alpha[x] = rounded(slope * mean + offset);
        }
        for (int x = 0; x < width; x++) {
            uint8_t share = alpha[x] >= 8 ? alpha[x] : 0;
            shares[3 * x] = shares[3 * x + 1] = shares[3 * x + 2] = share;
        }
        for (int c = 0; c < 3 * width; c++) {
            // (n + 127) / 255 as (m + 1 + (m >> 8)) >> 8, exact for 16 bits.
            unsigned front = shares[c] * seen[c] + 127u, back = (255u - shares[c]) * behind[c] + 127u;
            made[c] = static_cast<uint8_t>(((front + 1 + (front >> 8)) >> 8) + ((back + 1 + (back >> 8)) >> 8));
        }
    }
}

}  // namespace

extern "C" void finish(int threads, int width, int height, const uint8_t *image, const float *slope,
                       const float *offset, int columns, int rows, const int *x0, const float *xs, const int *y0,
                       const float *ys, const uint8_t *plate, uint8_t *alpha, uint8_t *out) {
    Picture of{width, height, image, slope, offset, columns, rows, x0, xs, y0, ys, plate, alpha, out};
    const int each = (height + threads - 1) / threads;
    std::vector<std::thread> others;
    for (int number = 1; number < threads; number++)
        others.emplace_back(lines, number * each, std::min(height, (number + 1) * each), of);
    lines(0, std::min(height, each), of);
    for (auto &other : others) other.join();
}
